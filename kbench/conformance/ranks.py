"""Real ranks on this machine: processes that run kbench.worker, from a server that has imported it once."""

import multiprocessing
import os
import socket
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from torch import Tensor

from kbench.config.run_spec import RunSpec
from kbench.conformance.contract_rules import Finding
from kbench.conformance.monitor import Monitor
from kbench.engine.probe import ModelProbe
from kbench.errors import RankError, RunError
from kbench.records.folders import RunDir
from kbench.records.run_files import Job
from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Phase, Probe, Resample, SampleStats, Strategy

PATIENCE_S = 300.0  # ranks that still wait for one another by then never stop


@dataclass(frozen=True)
class Ended:
    """How a run of several ranks ended."""

    codes: tuple[int | None, ...]  # exit codes by rank; None: it never ended
    error: str | None  # what went wrong
    hint: str = ""


def start(spec: RunSpec, place: Path) -> Ended:
    """Train ``spec`` in the folder ``place`` with as many ranks as it names, on CPUs, and wait for the end."""
    folder = RunDir(place / spec.run_id)
    folder.prepare(spec)
    folder.begin(Job.of(attempt=1).updated(threads_per_rank=1))
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(spec.ranks),
        "CUDA_VISIBLE_DEVICES": "",
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kbench.worker.rank", "kbench.conformance.ranks", "sklearn.datasets"])
    processes = []
    for rank in range(spec.ranks):
        place_of_rank = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(context.Process(target=_be_rank, args=(str(folder.path), place_of_rank), daemon=True))
    for process in processes:
        process.start()
    return _told(folder, _all_ended(processes))


def _told(folder: RunDir, codes: tuple[int | None, ...]) -> Ended:
    """What the run's own files say of its end."""
    end = folder.read()
    if end.failure:
        return Ended(codes, end.failure.error, end.failure.hint)
    if None in codes:
        return Ended(codes, f"the ranks waited for one another for {PATIENCE_S:g} s", "ask for the same on every rank")
    if any(codes) or not end.done:
        said = folder.stderr.read_text(errors="replace").strip().splitlines()
        return Ended(codes, f"the ranks ended with {codes}", said[-1] if said else "they said nothing")
    return Ended(codes, None)


def _all_ended(processes: list[ForkServerProcess]) -> tuple[int | None, ...]:
    """Wait for all ranks; who does not come to an end is ended."""
    deadline = time.monotonic() + PATIENCE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    codes = tuple(process.exitcode for process in processes)
    for process in processes:
        process.kill()
        process.join()
    return codes


def _be_rank(folder: str, environ: dict[str, str]) -> None:
    """What a process of the server does: become a rank of kbench.worker."""
    from kbench.worker.rank import main

    os.environ.update(environ)
    words = os.open(RunDir(Path(folder)).stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    sys.argv = ["kbench.worker", folder]
    main()


def _free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


ONE_OR_ALL = "whether select returned None"


@dataclass
class AbortCheck(Strategy):
    """The method ``method`` with ``params``, watched on every rank."""

    method: str
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._witness = Monitor(lambda: load(self.method, self.params), _end, global_batch=1)

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return self._witness.phases(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return self._witness.plan(epoch, stats)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        kept = self._witness.select(batch, probe)
        if isinstance(probe, ModelProbe):
            try:
                probe.comm.agree(int(kept is None), ONE_OR_ALL)
            except RankError as error:
                hint = "return None on every rank or on none; return ones to keep all"
                raise RankError(error.message, hint=hint) from None
        return kept

    def observe(self, batch: Batch, measured: Measured) -> None:
        self._witness.observe(batch, measured)


def _end(finding: Finding) -> None:
    raise RunError(f"{finding.what} ({finding.where})", hint=finding.do)
