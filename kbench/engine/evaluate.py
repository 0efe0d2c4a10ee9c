"""Exact evaluation: every validation sample once, sums over the ranks divided once."""

import time
from dataclasses import dataclass

import torch

from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm

TIMES = 4  # an evaluation batch holds so many training batches: there is no backward pass


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good a model is on the validation set."""

    loss: float  # [nat]
    acc1: float  # fraction: the task's metric
    acc5: float | None  # fraction; None where it says nothing
    eval_s: float  # [s] off the clock of the method


def evaluate(learner: Learner, comm: Comm) -> Score:
    """Evaluate over all ranks; each takes every ``comm.size``-th sample, and nothing is padded."""
    started = time.perf_counter()
    workload = learner.workload
    mine = torch.arange(comm.rank, len(workload.val), comm.size, device=learner.device)
    chunks = torch.split(mine, TIMES * learner.recipe.global_batch // comm.size) if len(mine) else ()
    totals = torch.zeros(workload.task.n_counts, dtype=torch.float64, device=learner.device)
    for _, x, y in workload.val_batches(chunks):
        totals += workload.task.counts(learner.predict(x), y)
    loss, acc1, acc5 = workload.task.scores(comm.sum(totals))
    return Score(loss=loss, acc1=acc1, acc5=acc5, eval_s=time.perf_counter() - started)
