"""Write a run's records: rank 0 its provenance, each epoch and its end; any rank why it failed."""

import os
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import torch

from kbench import files
from kbench.config import own_code
from kbench.engine.loop import Run
from kbench.engine.runtime.comm import Comm
from kbench.errors import ConfigError, KBenchError, ResultsError
from kbench.records import journal
from kbench.records.folders import RunDir
from kbench.records.hits import Hits
from kbench.records.journal import PhaseLength
from kbench.records.provenance import installed, nvidia_driver, provenance
from kbench.records.run_files import Done, Environment, Failure, Job, Provenance
from kbench.records.run_state import FailureKind
from kbench.records.schema import EpochRecord, metric_name
from kbench.strategies import STRATEGIES

MadeBy = dict[str, str | bool | int | None]


def note_provenance(folder: RunDir, run: Run, device: torch.device, node: str, began_at: datetime) -> MadeBy:
    """Write where and with what the run is made; returns what must not change within a run."""
    on_gpu = device.type == "cuda"
    hosts = run.comm.gather_text(node)
    before, job, facts = Provenance.read(folder.path) or Provenance(), Job.read(folder.path), provenance()
    phases = phases_of(run)
    facts = facts.updated(
        stage_s=before.stage_s,
        first_read_s=before.first_read_s,
        staging_started_at=before.staging_started_at,
        staging_stopped_at=before.staging_stopped_at,
        epochs=sum(phase.epochs for phase in phases),
        phases=phases,
        device_name=name_of_all(torch.cuda.get_device_name(device) if on_gpu else facts.processor, run.comm),
        torch_version=str(torch.__version__),  # with the tag of its build
        n_devices=run.comm.size if on_gpu else 0,
        hosts=tuple(dict.fromkeys(hosts)),
        threads_per_rank=torch.get_num_threads(),
        max_parallel=job.max_parallel if job else 1,
        spin=None if on_gpu else spin(),
        pairing=job.pairing if job else None,
        launcher=job.launcher if job else None,
        worker_started_at=began_at,
        metric=run.workload.metric,
        n_val=len(run.workload.val),
        dataset_note=run.workload.dataset_note,
        dataset_identity=run.workload.dataset_identity,
        backend=_backend(run.comm, device),
        strategy_code=_strategy_code(folder.read_spec().strategy.name),
    )
    if run.comm.rank == 0:
        facts.write(folder.path)
        environment(device).write(folder.path)
    same = ("commit", "dirty", "kbench_version", "torch_version", "device_name", "threads_per_rank", "spin")
    made_by: MadeBy = {"run_id": folder.run_id, **{key: getattr(facts, key) for key in same}}
    made_by["in_turns"] = facts.pairing == "turns"
    first: MadeBy = run.comm.gather_objects(made_by)[0]
    return first


def _strategy_code(name: str) -> str | None:
    """The digest of the source of a strategy of one's own; None for others, and where there is no source."""
    target = None if name in STRATEGIES else own_code.target_of(name, own_code.STRATEGIES)
    with suppress(ConfigError):
        return own_code.digest(target) if target else None
    return None


def name_of_all(device_name: str | None, comm: Comm) -> str | None:
    """What the ranks train on: the name of the device, or of all kinds where they differ; every rank must call."""
    kinds = sorted(set(comm.gather_text(device_name or "unknown")))
    if len(kinds) == 1:
        return device_name
    if comm.rank == 0:
        warn(f"the ranks' devices differ ({', '.join(kinds)}): every step waits for the slowest")
    return " + ".join(kinds)


def environment(device: torch.device) -> Environment:
    """Collect the versions of all that a run may depend on."""
    on_gpu = device.type == "cuda"
    mpi = sys.modules.get("mpi4py.MPI")  # not imported for this: it would start MPI
    return Environment(
        packages=installed(),
        cuda=torch.version.cuda if on_gpu else None,
        cudnn=str(torch.backends.cudnn.version()) if on_gpu else None,  # type: ignore[no-untyped-call]
        nccl=".".join(map(str, torch.cuda.nccl.version())) if on_gpu else None,  # type: ignore[no-untyped-call]
        driver=nvidia_driver(),
        mpi=mpi.Get_library_version().strip("\0\n") if mpi else None,
    )


def phases_of(run: Run) -> tuple[PhaseLength, ...]:
    """The stretches of training that the run's strategy asks for."""
    phases = run.watched.phases(run.workload.recipe.epochs)
    return tuple(PhaseLength(name=phase.name, epochs=phase.epochs) for phase in phases)


def spin(environ: Mapping[str, str] = os.environ) -> str:
    """How long idle threads of OpenMP (GNU's, Intel's) wait in a loop before they sleep, as this process is told."""
    names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
    return ", ".join(f"{name}={environ[name]}" for name in names if name in environ) or "default"


def _backend(comm: Comm, device: torch.device) -> str | None:
    if comm.size == 1:
        return None
    return "nccl" if device.type == "cuda" else "gloo"


def report_epoch(folder: RunDir, record: EpochRecord, run: Run) -> None:
    """Put an epoch into the journal, and print it; where it is the last, its hits are on record before it is."""
    if run.final_hits is not None:
        Hits.of(run.final_hits.cpu().numpy(), attempt=record.attempt).write(folder.path)
    writer = f"{socket.gethostname()}:{os.getpid()}"
    journal.append(folder.journal, record.model_copy(update={"writer": writer}))
    print(
        f"{record.phase} {record.epoch + 1:3d}  {metric_name(run.workload.metric)} {record.val_acc1:.4f}  "
        f"loss {record.train_loss:.4f}  {record.train_s:7.3f} s  trained {record.n_trained}",
        flush=True,
    )


def report_done(folder: RunDir, run: Run) -> None:
    """Write the last file of a run that went well."""
    digests = {key: value for key, value in run.facts.items() if key != "disturbs" and value is not None}
    disturbs = run.facts.get("disturbs")
    folder.finish(Done.of(attempt=run.attempt, phases=phases_of(run), digests=digests, disturbs=disturbs))
    if disturbs:
        warn(f"{run.strategy} moved random streams of others ({disturbs}); they were put back")


def warn(text: str) -> None:
    """Something for who reads stderr.log."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def report_failure(folder: RunDir, error: Exception, *, rank: int | None, attempt: int) -> None:
    """Print on stderr what went wrong, and write failed.json unless another rank was first.

    On a full disk neither may be possible; then whoever reads the run's status says so.
    """
    known = isinstance(error, KBenchError)
    text = error.message if isinstance(error, KBenchError) else f"{type(error).__name__}: {error}".removesuffix(": ")
    hint = error.hint if isinstance(error, KBenchError) else "a bug of kbench or of a strategy; see stderr.log"
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        hint = "out of memory: accumulate (a step in parts), more ranks, precision bf16, or a smaller global_batch"
    kind = FailureKind.RAISED
    if files.is_full(error):
        known, kind, hint = True, FailureKind.DISK_FULL, FailureKind.DISK_FULL.hint
        if isinstance(error, OSError):
            text = f"{error.filename or folder.path}: cannot be written: {files.reason(error)}"
    trace = "".join(traceback.format_exception(error))
    failure = Failure.of(
        text.splitlines()[0] if text else type(error).__name__,
        kind=kind,
        attempt=attempt,
        hint=hint,
        node=getattr(error, "node", None),
        exception=type(error).__name__,
        exit_code=error.exit_code if isinstance(error, KBenchError) else 1,
        rank=rank,
        traceback=trace,
    )
    with suppress(OSError, ResultsError):
        folder.fail(failure)
    with suppress(OSError):
        print(f"error: {text}\nhint: {hint}" if known else trace, file=sys.stderr, flush=True)
