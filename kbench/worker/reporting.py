"""What rank 0 says of a run: where it is made, each epoch, its end; and any rank why it failed."""

import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import torch

from kbench import files
from kbench.engine.loop import Run
from kbench.engine.runtime.comm import Comm
from kbench.errors import KBenchError
from kbench.records.folders import RunDir, write_json
from kbench.records.provenance import provenance
from kbench.records.schema import EpochRecord, printed


def note_provenance(folder: RunDir, run: Run, device: torch.device, node: str, began_at: str) -> dict[str, Any]:
    """Write where and with what the run is made; returns what must not change within a run."""
    on_gpu = device.type == "cuda"
    hosts = run.comm.gather_text(node)
    facts = {k: v for k, v in folder.provenance.items() if k.startswith("stag")} | provenance()
    facts["epochs"] = sum(phase.epochs for phase in run.watched.phases(run.workload.recipe.epochs))
    facts |= {
        "device_name": torch.cuda.get_device_name(device) if on_gpu else facts["processor"],
        "torch_version": str(torch.__version__),  # with the tag of its build
        "n_devices": run.comm.size if on_gpu else 0,
        "hosts": list(dict.fromkeys(hosts)),
        "threads_per_rank": torch.get_num_threads(),
        "max_parallel": folder.job.get("max_parallel", 1),
        "launcher": folder.job.get("launcher"),
        "worker_started_at": began_at,
        "metric": run.workload.metric,
        "n_val": len(run.workload.val),
        "dataset_note": run.workload.dataset_note,
        "dataset_identity": run.workload.dataset_identity,
        "backend": _backend(run.comm, device),
    }
    if run.comm.rank == 0:
        write_json(folder.path / "provenance.json", facts)
    same = ("commit", "dirty", "kbench_version", "torch_version", "device_name", "threads_per_rank")
    return run.comm.gather_objects({"run_id": folder.run_id, **{key: facts[key] for key in same}})[0]


def _backend(comm: Comm, device: torch.device) -> str | None:
    if comm.size == 1:
        return None
    return "nccl" if device.type == "cuda" else "gloo"


def tell(folder: RunDir, record: EpochRecord, metric: str) -> None:
    """Put an epoch into the journal, and say it."""
    files.append(folder.journal, record.model_dump(mode="json"))
    print(
        f"{record.phase} {record.epoch + 1:3d}  {printed(metric)} {record.val_acc1:.4f}  "
        f"loss {record.train_loss:.4f}  {record.train_s:7.3f} s  trained {record.n_trained}",
        flush=True,
    )


def finish(folder: RunDir, run: Run) -> None:
    """Write the last file of a run that went well."""
    last_phase = run.watched.phases(run.workload.recipe.epochs)[-1].name
    folder.finish({"ended_at": now(), "attempt": run.attempt, "last_phase": last_phase, **run.facts})
    if run.facts.get("disturbs"):
        warn(f"{run.strategy} moved random streams of others ({run.facts['disturbs']}); they were put back")


def warn(text: str) -> None:
    """Something for who reads stderr.log."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def report(folder: RunDir, error: Exception, *, rank: int | None, attempt: int) -> None:
    """Say on stderr what went wrong, and in failed.json unless another rank was first."""
    known = isinstance(error, KBenchError)
    text = error.message if isinstance(error, KBenchError) else f"{type(error).__name__}: {error}"
    hint = error.hint if isinstance(error, KBenchError) else "a bug of kbench or of a strategy; see stderr.log"
    if isinstance(error, torch.OutOfMemoryError):
        hint = "out of memory: use a smaller global_batch, more ranks, or precision bf16"
    trace = "".join(traceback.format_exception(error))
    folder.fail(
        {
            "error": text.splitlines()[0] if text else type(error).__name__,
            "hint": hint,
            "kind": type(error).__name__,
            "exit_code": error.exit_code if isinstance(error, KBenchError) else 1,
            "rank": rank,
            "attempt": attempt,
            "node": getattr(error, "node", None),
            "traceback": trace,
            "ended_at": now(),
        }
    )
    print(f"error: {text}\nhint: {hint}" if known else trace, file=sys.stderr, flush=True)


def now() -> str:
    """The time, as records have it."""
    return datetime.now(UTC).isoformat()
