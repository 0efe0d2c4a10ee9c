"""Exact evaluation: every validation sample once, sums over the ranks divided once."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm

TIMES = 4  # an evaluation batch holds so many training batches: there is no backward pass


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good a model is on the validation set."""

    loss: float  # [nat]
    acc1: float  # fraction: the task's metric
    acc5: float | None  # fraction; None where it says nothing
    acc_worst: float | None  # fraction, of the class that has the lowest; likewise
    acc_classes: tuple[float | None, ...] | None  # fraction, by class; likewise
    eval_s: float  # [s] off the clock of the method
    hits: Tensor | None = None  # (n,) uint8: 1 where a sample is right, in the order of the validation set


def evaluate(learner: Learner, comm: Comm, *, with_hits: bool = False) -> Score:
    """Evaluate over all ranks; each takes every ``comm.size``-th sample, and nothing is padded.

    Args:
        learner: What is evaluated.
        comm: The ranks.
        with_hits: Whether the score has the hits of single samples, where the task knows hits.
    """
    started = time.perf_counter()
    workload = learner.workload
    mine = torch.arange(comm.rank, len(workload.val), comm.size, device=learner.device)
    size = TIMES * learner.recipe.global_batch // comm.size // learner.recipe.accumulate
    chunks = torch.split(mine, size) if len(mine) else ()
    totals = torch.zeros(workload.task.n_counts, dtype=torch.float64, device=learner.device)
    hits_of = workload.task.hits if with_hits else None
    hits = torch.zeros(len(workload.val) if hits_of else 0, dtype=torch.uint8, device=learner.device)
    for index, x, y in workload.val_batches(chunks):
        output = learner.predict(x)
        totals += workload.task.counts(output, y)
        if hits_of:
            hits[index] = hits_of(output, y).to(torch.uint8)
    scores = workload.task.scores(comm.sum(totals))
    all_hits = comm.sum(hits) if hits_of else None  # of the samples of other ranks a rank has zeros
    return Score(
        loss=scores.val_loss,
        acc1=scores.val_acc1,
        acc5=scores.val_acc5,
        acc_worst=scores.val_acc_worst,
        acc_classes=scores.val_acc_classes,
        eval_s=time.perf_counter() - started,
        hits=all_hits,
    )
