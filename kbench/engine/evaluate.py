"""Exact evaluation: every validation sample once, sums over ranks divided once."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kbench.engine.comm import Comm
from kbench.engine.learner import Learner

TIMES = 4  # an evaluation batch holds so many training batches: there is no backward pass


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good a model is on the validation set."""

    loss: float  # [nat]
    acc1: float  # fraction
    acc5: float | None  # fraction; None with five classes or fewer
    eval_s: float  # [s] off the clock of the method


def evaluate(learner: Learner, comm: Comm) -> Score:
    """Evaluate over all ranks; each takes every ``size``-th sample, and none is padded."""
    started = time.perf_counter()
    val, n_classes = learner.workload.val, learner.workload.n_classes
    sums = torch.zeros(4, dtype=torch.float64, device=learner.device)  # loss, top1, top5, samples
    mine = torch.arange(comm.rank, len(val), comm.size, device=learner.device)
    for ids in torch.split(mine, TIMES * learner.recipe.global_batch // comm.size):
        x, y = val.at(ids)
        logits = learner.output(x).float()
        ranked = logits.topk(min(5, n_classes), dim=1).indices == y[:, None]
        loss = F.cross_entropy(logits, y, reduction="sum")
        n = torch.tensor(float(len(ids)), device=learner.device)
        sums += torch.stack([loss.double(), ranked[:, 0].sum().double(), ranked.sum().double(), n.double()])
    loss, top1, top5, n = comm.sum(sums).tolist()
    return Score(
        loss=loss / n,
        acc1=top1 / n,
        acc5=top5 / n if n_classes > 5 else None,
        eval_s=time.perf_counter() - started,
    )
