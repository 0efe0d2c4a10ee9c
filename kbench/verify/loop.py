"""A few updates of a pair, by kbench's learner and by a loop as anybody would write it."""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kbench.config.experiment import Pair
from kbench.config.recipe import Recipe
from kbench.data import dataset_info
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.engine.schedule import learning_rate
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload
from kbench.verify.row import Row, State
from kbench.verify.small import small_workload

BATCH = 8  # [sample]
SAME = 1e-5  # [nat] difference of losses that rounding explains


def loop_rows(pair: Pair, *, steps: int) -> Iterator[Row]:
    """Compare the losses of a few updates, in the middle of the schedule, with those of a plain loop."""
    what = f"loss of {steps} updates of {BATCH} samples in fp32, against a plain loop"
    info = dataset_info(pair.dataset)
    if info is None or info.task != "classification":
        yield Row("loop", what, "", "", "not done", "fields of a climate cannot be made up as images are")
        return
    with tempfile.TemporaryDirectory(prefix="kbench-") as folder:
        small = small_workload(pair, Path(folder), batch=BATCH, n_images=BATCH * steps)
        learner = Learner(small.workload, 0, Comm())
        batches = _batches(small.workload, steps)
        reference = copy.deepcopy(learner.module)
        rates = [learning_rate(pair.recipe, 0.5 + step / steps / 10) for step in range(steps)]
        torch.manual_seed(1)
        here = [
            float(learner.step(batch, rate, PhaseTimer(learner.device)).loss.mean())
            for batch, rate in zip(batches, rates, strict=True)
        ]
    torch.manual_seed(1)
    plain = plain_losses(reference, batches, rates, small.pair.recipe)
    largest = max(abs(one - other) for one, other in zip(here, plain, strict=True))
    values = [", ".join(f"{loss:.5f}" for loss in losses) for losses in (plain, here)]
    state: State = "equal" if largest < SAME else "differs"
    yield Row(
        "loop", what, values[0], values[1], state, f"largest difference {largest:.1e}" if state == "equal" else ""
    )


def plain_losses(model: nn.Module, batches: list[Batch], rates: list[float], recipe: Recipe) -> list[float]:
    """Train as anybody would, with timm's and torch's own parts; the plain loss of each batch before its update."""
    optimizer, losses = plain_optimizer(model, recipe), []
    model.train()
    for batch, rate in zip(batches, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        output = model(batch.x)
        losses.append(float(_cross_entropy(output, batch, 0.0).detach()))
        optimizer.zero_grad()
        _cross_entropy(output, batch, recipe.label_smoothing).backward()  # type: ignore[no-untyped-call]
        if recipe.max_grad_norm:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
    return losses


def _cross_entropy(output: Tensor, batch: Batch, smoothing: float) -> Tensor:
    """The mean cross-entropy against a soft target: what is right, smoothed, and mixed."""
    target = _soft(batch.y, output.shape[1], smoothing)
    if batch.mix is not None:
        other, share = batch.mix
        target = share[:, None] * target + (1 - share[:, None]) * _soft(other, output.shape[1], smoothing)
    return -(target * output.float().log_softmax(1)).sum(1).mean()


def _soft(y: Tensor, n_classes: int, smoothing: float) -> Tensor:
    return F.one_hot(y, n_classes) * (1 - smoothing) + smoothing / n_classes


def plain_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer as timm makes it where vectors do not decay, as torchvision does where norms do not."""
    decay: Any = [{"params": list(model.parameters()), "weight_decay": recipe.weight_decay}]
    if recipe.decay_exempts == "vectors":
        from timm.optim._optim_factory import create_optimizer_v2

        optimizer: torch.optim.Optimizer = create_optimizer_v2(
            model, recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
        )
        return optimizer
    if recipe.decay_exempts == "norms":
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm)]
        spared = {parameter for norm in norms for parameter in norm.parameters(recurse=False)}
        rest = [parameter for parameter in model.parameters() if parameter not in spared]
        decay = [
            {"params": rest, "weight_decay": recipe.weight_decay},
            {"params": list(spared), "weight_decay": 0.0},
        ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(decay, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(decay, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps)


def _batches(workload: Workload, steps: int) -> list[Batch]:
    ids = torch.split(torch.arange(BATCH * steps), BATCH)
    batches = [Batch(index, x, y) for index, x, y in workload.batches(ids, key=5)]
    if workload.mixing is None:
        return batches
    mixed = []
    for batch, places in zip(batches, ids, strict=True):
        x, y, other, share = workload.mixing.mixed(batch.x, batch.y, places, key=5)
        mixed.append(Batch(batch.index, x, y, mix=(other, share)))
    return mixed
