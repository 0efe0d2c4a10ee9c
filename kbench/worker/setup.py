"""Build a run from its spec: its data, model, strategy, and what it begins with."""

import copy
import os
import time
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import torch

from kbench.config import own_code
from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.data.store.stage import read_once, stage
from kbench.engine import checkpoint
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import rank_env
from kbench.engine.samples import SampleStore
from kbench.errors import RunError, WorkloadError
from kbench.records.folders import RunDir
from kbench.records.run_files import Job, Provenance
from kbench.records.schema import EpochRecord
from kbench.records.snapshot import RunSnapshot
from kbench.strategies import load
from kbench.strategies.api import EpochCost
from kbench.tasks.workload import Workload


def stage_data(folder: RunDir, spec: RunSpec, job: Job, comm: Comm) -> str:
    """Copy the data to storage of the node's own where the site asks for it, then read it once, off every clock.

    The slowest node's times count.  Returns the root that the data lies below.
    """
    root = _copy_data(folder, spec, job, comm) if job.scratch else job.data_root
    comm.barrier()
    began = time.perf_counter()
    was_read = read_once(spec.pair.dataset, root) if rank_env().local_rank == 0 else None  # one process of each node
    comm.barrier()
    if comm.rank == 0 and was_read is not None:
        before = Provenance.read(folder.path) or Provenance()
        before.updated(first_read_s=time.perf_counter() - began).write(folder.path)
    return root


def _copy_data(folder: RunDir, spec: RunSpec, job: Job, comm: Comm) -> str:
    comm.barrier()
    began, began_at = time.perf_counter(), datetime.now(UTC)
    root = stage(spec.pair.dataset, job.data_root, Path(os.path.expandvars(job.scratch)))
    comm.barrier()
    if comm.rank == 0:
        before = Provenance.read(folder.path) or Provenance()
        before.updated(
            stage_s=(before.stage_s or 0.0) + time.perf_counter() - began,  # over all attempts
            staging_started_at=before.staging_started_at or began_at,
            staging_stopped_at=datetime.now(UTC),
        ).write(folder.path)
    return root


class SharedWorkload:
    """The samples of a pair, opened once for the runs of one process; what a run sets on its workload stays its own."""

    def __init__(self) -> None:
        self._opened: Workload | None = None

    def of(self, pair: Pair, device: torch.device, root: str) -> Workload:
        """The workload of a run on ``pair``."""
        if self._opened is None or self._opened.pair != pair:
            self._opened = Workload(pair, device, root=root)
        return copy.copy(self._opened)


def build_run(
    folder: RunDir, spec: RunSpec, comm: Comm, device: torch.device, root: str, shared: SharedWorkload, attempt: int
) -> Run:
    """Build the run that a spec describes, before its first epoch."""
    check_own_code(spec.pair)
    workload = shared.of(spec.pair, device, root)
    workload.alter(spec.seed)
    strategy = load(spec.strategy.name, spec.strategy.params)
    if spec.prerequisite:
        past = read_prerequisite(
            folder.sibling(spec.prerequisite.run_id), "begins with its weights" if spec.upstream else "follows it"
        )
        if spec.upstream:
            workload.initial_weights = checkpoint.final_weights(
                RunDir(past.path), past.done.final_digest if past.done else None
            )
        else:
            strategy.follow(costs_of(past.epochs, workload))
    return Run(
        strategy=strategy,
        workload=workload,
        comm=comm,
        store=SampleStore(workload.n_samples, workload.n_classes, device, labels=workload.labels),
        timer=PhaseTimer(device),
        seed=spec.seed,
        attempt=comm.gather_objects(attempt)[0],  # other hosts may not have been told, and see an old file for a while
    )


def check_own_code(pair: Pair) -> None:
    """Raise WorkloadError where the source of something of one's own is not what it was when the run was named."""
    for name, known in pair.code.items():
        targets = (own_code.target_of(name, group) for group in (own_code.MODELS, own_code.DATASETS))
        now = own_code.digest(next(filter(None, targets), name))
        if now != known:
            raise WorkloadError(
                f"{name}: its source has changed since this run was named (digest {now}, {known} then)",
                hint="take the change back, or run it as another experiment: --set name=...",
            )


def read_prerequisite(run: RunDir, purpose: str) -> RunSnapshot:
    """Read the run that another needs; raises RunError, which names the ``purpose``, unless it is done and sound."""
    past = run.read()
    if past.trouble:
        raise RunError(f"{run.run_id} is damaged, and this run {purpose}: {past.trouble}")
    if not past.done:
        raise RunError(
            f"{run.run_id} is not done, and this run {purpose}", hint="kbench run starts both in their order"
        )
    return past


def costs_of(epochs: Iterable[EpochRecord], workload: Workload) -> list[EpochCost]:
    """What each epoch of the run that a strategy follows cost."""
    n_full = workload.n_samples - workload.n_samples % workload.recipe.global_batch
    return [
        EpochCost(
            **{f.name: getattr(record, f.name) for f in fields(EpochCost) if hasattr(record, f.name)},
            n_full=n_full,
            global_batch=workload.recipe.global_batch,
            step_s=record.forward_s + record.backward_s + record.update_s,
        )
        for record in epochs
    ]
