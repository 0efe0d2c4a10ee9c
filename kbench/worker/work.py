"""What every rank runs: ``python -m kbench.worker RUN_DIR``."""

import socket
import sys
import traceback
import warnings
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kbench.engine import checkpoint
from kbench.engine.comm import Comm
from kbench.engine.loop import Run, train
from kbench.engine.rendezvous import device_of, leave, together
from kbench.engine.samples import SampleStore
from kbench.engine.timer import PhaseTimer
from kbench.errors import KBenchError, LaunchError, RunError
from kbench.launch.ranks import RankEnv, rank_env
from kbench.records import journal
from kbench.records.folders import RunDir, write_json
from kbench.records.provenance import provenance
from kbench.records.schema import EpochRecord
from kbench.strategies import load
from kbench.strategies.api import Spent
from kbench.workloads.workload import Workload


def main() -> None:
    """Train the run in the folder given, or say in failed.json why not."""
    folder = RunDir(Path(sys.argv[1]))
    # DDP remarks on the strides of one-channel convolutions, which have several right answers.
    warnings.filterwarnings("ignore", message="Grad strides do not match")
    env = None
    try:
        env = rank_env()
        work(folder, env)
    except Exception as error:
        _report(folder, error, rank=env.rank if env else None)
        leave(error.exit_code if isinstance(error, KBenchError) else 1)
    leave(0)


def work(folder: RunDir, env: RankEnv) -> None:
    """Join the other ranks, train, and let rank 0 write what happened."""
    spec, job = folder.spec, folder.job
    if env.size != spec.ranks:
        raise LaunchError(
            f"{folder.run_id}: {env.size} ranks were started by {env.starter}, its spec wants {spec.ranks}",
            hint="check ranks_per_node and nodes of the site against its job template",
        )
    if job.get("threads_per_rank"):  # mpirun need not pass OMP_NUM_THREADS on to other hosts
        torch.set_num_threads(job["threads_per_rank"])
    device = device_of(env)
    with together(env, device) as comm:
        run = _made(folder, comm, device)
        made_by = _note_provenance(folder, run, device)
        start = checkpoint.load(folder.checkpoint, comm=comm, device=device, made_by=made_by)
        if start.note and env.rank == 0:
            _warn(start.note)
        keep = partial(
            checkpoint.save,
            folder.checkpoint,
            store=run.store,
            strategy=run.strategy,
            comm=comm,
            made_by=made_by,
            disturbed=run.watched.disturbed,
        )
        for record in train(run, start, keep):
            if env.rank == 0:
                _tell(folder, record)
        comm.barrier()
        if env.rank == 0:
            _finish(folder, run)
        comm.barrier()  # nobody leaves before the end is on record


def _made(folder: RunDir, comm: Comm, device: torch.device) -> Run:
    """The run that a folder's spec describes, before its first epoch."""
    spec = folder.spec
    workload = Workload(spec.pair, device)
    strategy = load(spec.strategy.name, spec.strategy.params)
    if spec.leader:
        strategy.follow(past_of(folder.sibling(spec.leader.run_id), workload))
    return Run(
        strategy=strategy,
        workload=workload,
        comm=comm,
        store=SampleStore(workload.n_samples, workload.n_classes, device),
        timer=PhaseTimer(device),
        seed=spec.seed,
        attempt=folder.job.get("attempt", 1),
    )


def _tell(folder: RunDir, record: EpochRecord) -> None:
    journal.append(folder.journal, record.model_dump(mode="json"))
    print(
        f"{record.phase} {record.epoch + 1:3d}  top-1 {record.val_acc1:.4f}  "
        f"loss {record.train_loss:.4f}  {record.train_s:7.3f} s  trained {record.n_trained}",
        flush=True,
    )


def _finish(folder: RunDir, run: Run) -> None:
    last_phase = run.watched.phases(run.workload.recipe.epochs)[-1].name
    folder.finish({"ended_at": _now(), "attempt": run.attempt, "last_phase": last_phase, **run.facts})
    if run.facts.get("disturbs"):
        _warn(f"{run.strategy} moved random streams of others ({run.facts['disturbs']}); they were put back")


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def past_of(leader: RunDir, workload: Workload) -> list[Spent]:
    """What the run did that this one follows; raises RunError unless it is done."""
    if not leader.done:
        raise RunError(
            f"{leader.run_id} is not done, and this run follows it", hint="kbench run starts both in their order"
        )
    n_full = workload.n_samples - workload.n_samples % workload.recipe.global_batch
    return [
        Spent(
            **{f.name: getattr(record, f.name) for f in fields(Spent) if hasattr(record, f.name)},
            n_full=n_full,
            global_batch=workload.recipe.global_batch,
            step_s=record.forward_s + record.backward_s + record.update_s,
        )
        for record in leader.epochs()
    ]


def _note_provenance(folder: RunDir, run: Run, device: torch.device) -> dict[str, Any]:
    """Write where and with what the run is made; returns what must not change within a run."""
    on_gpu = device.type == "cuda"
    hosts = run.comm.gather_text(socket.gethostname())
    facts = provenance()
    facts["epochs"] = sum(phase.epochs for phase in run.watched.phases(run.workload.recipe.epochs))
    facts |= {
        "device_name": torch.cuda.get_device_name(device) if on_gpu else facts["processor"],
        "torch_version": str(torch.__version__),  # with the tag of its build
        "n_devices": run.comm.size if on_gpu else 0,
        "hosts": list(dict.fromkeys(hosts)),
        "threads_per_rank": torch.get_num_threads(),
        "max_parallel": folder.job.get("max_parallel", 1),
        "launcher": folder.job.get("launcher"),
        "metric": run.workload.metric,
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


def _report(folder: RunDir, error: Exception, *, rank: int | None) -> None:
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
            "attempt": folder.job.get("attempt", 1),
            "traceback": trace,
            "ended_at": _now(),
        }
    )
    print(f"error: {text}\nhint: {hint}" if known else trace, file=sys.stderr, flush=True)


def _now() -> str:
    return datetime.now(UTC).isoformat()


if __name__ == "__main__":
    main()
