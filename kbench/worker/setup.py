"""A run made real: its data, model, strategy, and what it begins with."""

import os
import time
from dataclasses import fields
from pathlib import Path

import torch

from kbench.data.store.stage import stage
from kbench.engine import checkpoint
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.errors import RunError
from kbench.records.folders import RunDir, write_json
from kbench.strategies import load
from kbench.strategies.api import EpochCost
from kbench.tasks.workload import Workload
from kbench.worker.reporting import now


def staged(folder: RunDir, comm: Comm) -> str:
    """Where the data lies: as the site says, or copied to storage of the node's own; the slowest node's time counts."""
    job, dataset = folder.job, folder.spec.pair.dataset
    root = str(job.get("data_root", ""))
    if not job.get("scratch"):
        return root
    comm.barrier()
    began, began_at = time.perf_counter(), now()
    there = stage(dataset, root, Path(os.path.expandvars(job["scratch"])))
    comm.barrier()
    if comm.rank == 0:
        before = folder.provenance
        facts = {
            "stage_s": before.get("stage_s", 0.0) + time.perf_counter() - began,  # over all attempts
            "staging_started_at": before.get("staging_started_at", began_at),
            "staging_stopped_at": now(),
        }
        write_json(folder.path / "provenance.json", before | facts)
    return there


def made(folder: RunDir, comm: Comm, device: torch.device, root: str) -> Run:
    """The run that a folder's spec describes, before its first epoch."""
    spec = folder.spec
    workload = Workload(spec.pair, device, root=root)
    strategy = load(spec.strategy.name, spec.strategy.params)
    if spec.leader and spec.upstream:
        workload.initial_weights = checkpoint.final_weights(folder.sibling(spec.leader.run_id))
    elif spec.leader:
        strategy.follow(past_of(folder.sibling(spec.leader.run_id), workload))
    return Run(
        strategy=strategy,
        workload=workload,
        comm=comm,
        store=SampleStore(workload.n_samples, workload.n_classes, device),
        timer=PhaseTimer(device),
        seed=spec.seed,
        attempt=comm.gather_objects(folder.attempt or 1)[0],  # nodes may see an old file for a while
    )


def past_of(leader: RunDir, workload: Workload) -> list[EpochCost]:
    """What the run did that this one follows; raises RunError unless it is done."""
    if not leader.done:
        raise RunError(
            f"{leader.run_id} is not done, and this run follows it", hint="kbench run starts both in their order"
        )
    n_full = workload.n_samples - workload.n_samples % workload.recipe.global_batch
    return [
        EpochCost(
            **{f.name: getattr(record, f.name) for f in fields(EpochCost) if hasattr(record, f.name)},
            n_full=n_full,
            global_batch=workload.recipe.global_batch,
            step_s=record.forward_s + record.backward_s + record.update_s,
        )
        for record in leader.epochs()
    ]
