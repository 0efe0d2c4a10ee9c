"""One rank of a run, from its start to its end."""

import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import torch

from kbench import files
from kbench.engine import checkpoint
from kbench.engine.loop import Run, train
from kbench.engine.runtime.allocation_check import check_allocation, check_devices
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv, rank_env
from kbench.engine.runtime.rendezvous import device_of, leave, together
from kbench.errors import KBenchError, LaunchError, ResultsError
from kbench.records.folders import RunDir, begun_attempts
from kbench.records.run_files import Job
from kbench.records.schema import EpochRecord
from kbench.worker.reporting import MadeBy, note_provenance, report_done, report_epoch, report_failure, warn
from kbench.worker.setup import SharedWorkload, build_run, stage_data
from kbench.worker.turns import Player, Round, whose_turn
from kbench.worker.watchdog import Watchdog


def main() -> None:
    """Train the run in the folder given, or those in several folders in turns, or say in failed.json why not."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):  # a scheduler's to a whole job are kbench.launch.worker_job's
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # the logs of a run are UTF-8, whatever the locale of its node
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    folders = [RunDir(Path(place)) for place in sys.argv[1:]]
    attempts = begun_attempts(folders)
    # DDP remarks on the strides of one-channel convolutions, which have several right answers.
    warnings.filterwarnings("ignore", message="Grad strides do not match")
    env = None
    try:
        env = rank_env()
        if len(folders) == 1:
            work(folders[0], env, attempt=attempts[folders[0]])
        else:
            work_in_turns(folders, env, attempts=attempts)
    except Leave as why:
        print(f"left: {why}", file=sys.stderr, flush=True)
        leave(0)
    except Exception as error:
        folder = whose_turn(folders) or folders[0]
        report_failure(folder, error, rank=env.rank if env else None, attempt=attempts[folder])
        leave(error.exit_code if isinstance(error, KBenchError) else 1)
    leave(0)


def work(folder: RunDir, env: RankEnv, *, attempt: int | None = None) -> None:
    """Join the other ranks, train, and let rank 0 write what happened."""
    with ranks_of(folder, env) as (comm, device):
        attempts = {folder: attempt or folder.read_attempt() or 1}
        with watched([folder], attempts, comm) as watchdog:
            for _ in epochs_of(folder, env, comm, device, attempt=attempt, watchdog=watchdog):
                watchdog.end_epoch()
        comm.barrier()  # nobody leaves before the end is on record


def work_in_turns(folders: Sequence[RunDir], env: RankEnv, *, attempts: Mapping[RunDir, int] | None = None) -> None:
    """Train several runs of one pair and seed, each for an epoch in its turn; what one raises ends this process."""
    known = attempts or {folder: folder.read_attempt() or 1 for folder in folders}
    shared = SharedWorkload()
    with ranks_of(folders[0], env) as (comm, device):
        with watched(folders, known, comm) as watchdog:
            players = [
                Player(
                    folder,
                    _until_left(epochs_of(folder, env, comm, device, shared, attempt=known[folder], watchdog=watchdog)),
                )
                for folder in folders
            ]
            Round(players, comm, device).play()
        comm.barrier()


@contextmanager
def ranks_of(folder: RunDir, env: RankEnv) -> Iterator[tuple[Comm, torch.device]]:
    """Join the other ranks of a run, as its folder says how; leave them at the end."""
    spec, job = folder.read_spec(), Job.read(folder.path) or Job.of(attempt=1)
    if env.size != spec.ranks:
        raise LaunchError(
            f"{folder.run_id}: {env.size} ranks were started by {env.starter}, its spec wants {spec.ranks}",
            hint="check ranks_per_node and nodes of the site against its job template",
        )
    if job.threads_per_rank:  # mpirun need not pass OMP_NUM_THREADS on to other hosts
        torch.set_num_threads(job.threads_per_rank)
    device = device_of(env)
    with together(env, device, folder=folder.path, interface=job.network_interface) as comm:
        check_devices(env, device, comm)
        if job.allocation:
            check_allocation(job.allocation, env, comm)
        yield comm, device


def epochs_of(
    folder: RunDir, env: RankEnv, comm: Comm, device: torch.device, shared: SharedWorkload | None = None, *,
    attempt: int | None = None, watchdog: Watchdog | None = None,
) -> Iterator[Run]:  # fmt: skip
    """Build the run of a folder and train it; rank 0 writes what happened.  Yields when an epoch is on record.

    ``attempt`` is the one that its job began; None: the latest.
    """
    began_at = datetime.now(UTC)
    if env.rank == 0:
        files.remove_drafts(folder.path / "*")  # of attempts that were killed
        folder.reserve_room()
    spec, job = folder.read_spec(), Job.read(folder.path) or Job.of(attempt=1)
    root = stage_data(folder, spec, job, comm)
    run = build_run(folder, spec, comm, device, root, shared or SharedWorkload(), attempt or folder.read_attempt() or 1)
    made_by = note_provenance(folder, run, device, env.node, began_at)
    start = checkpoint.load(folder.checkpoint, comm=comm, device=device, made_by=made_by)
    if start.note and env.rank == 0:
        warn(start.note)
    run.facts["final_digest"] = start.final_digest  # of one that only missed its end

    if watchdog:
        run.watched.on_step = watchdog.step
        watchdog.arm()

    def report(record: EpochRecord) -> None:
        if env.rank == 0:
            report_epoch(folder, record, run)

    for _ in train(run, start, partial(_keep, folder, run, made_by), report):
        yield run
    if env.rank == 0:
        report_done(folder, run)


def watched(folders: Sequence[RunDir], attempts: Mapping[RunDir, int], comm: Comm) -> Watchdog:
    """A watchdog over the runs of this process."""
    job = Job.read_if_whole(folders[0].path)
    limit_s = job.hang_limit_s if job else None
    return Watchdog(lambda: whose_turn(folders) or folders[0], lambda run: attempts[run], comm, limit_s=limit_s)


def _until_left(epochs: Iterator[Run]) -> Iterator[Run]:
    """The epochs of a run until it has ended or is to leave; the others then go on without it."""
    try:
        yield from epochs
    except Leave as why:
        print(f"left: {why}", file=sys.stderr, flush=True)


class Leave(Exception):
    """The run is to end here, for a reason that is on record elsewhere."""


def _keep(folder: RunDir, run: Run, made_by: MadeBy, *, phase: int, epoch: int, **where: Any) -> None:
    """Write a checkpoint, unless another attempt has taken over; end the run here if it was told to.

    A checkpoint that cannot be written costs no results, but an interrupted run then goes back further.
    """
    latest = folder.read_attempt()
    if not run.comm.min(int(latest <= run.attempt)):
        raise Leave(f"attempt {latest} has taken over from attempt {run.attempt}")
    try:
        checkpoint.save(
            folder.checkpoint, phase=phase, epoch=epoch, store=run.store, strategy=run.strategy, comm=run.comm,
            made_by=made_by, disturbed=run.watched.disturbed, **where,
        )  # fmt: skip
    except (ResultsError, OSError, MemoryError) as error:
        warn(f"no checkpoint after epoch {epoch}: {error or 'out of memory'}")
    phases = run.watched.phases(run.workload.recipe.epochs)
    more = phase + 1 < len(phases) or epoch < phases[-1].epochs
    if not more and run.comm.rank == 0:
        run.facts["final_digest"] = checkpoint.digest_of(where["learner"].state())
    if more and not run.comm.min(int(not folder.stop.exists())):
        raise Leave("told to end after this epoch")
