"""A loss and a metric of one's own in place of the task's."""

import math
import re
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from kbench.config import own_code
from kbench.config.recipe import CROSS_ENTROPY, Recipe
from kbench.errors import WorkloadError
from kbench.tasks.classification import Over, Results, Scores, Task

Loss = Callable[[Tensor, Tensor], Tensor]  # output (b, n_classes) float32, y (b,) int64 to losses (b,)


class Metric(Protocol):
    """A metric of one's own: ``recipe.metric: package.module:Name``, a class called with the number of classes.

    Counts add up over batches and ranks, so that a score is exact whatever the number of ranks.
    """

    name: str  # what tables and figures call it
    n_counts: int  # how many numbers it adds up

    def counts(self, output: Tensor, y: Tensor) -> Tensor:
        """Count what ``score`` needs, (n_counts,), of logits (b, n_classes) float32 and labels (b,) int64."""

    def score(self, totals: Tensor) -> float:
        """Score all samples whose counts were added up, (n_counts,) float64: in [0, 1], higher is better."""


class WithOwn:
    """A task that is trained with a loss, and judged by a metric, of one's own.

    What strategies see of a sample stays the task's, whatever the loss: a plain cross-entropy that is comparable
    between recipes.  The validation loss and the top-5 accuracy stay the task's as well.
    """

    def __init__(self, task: Task, loss: Loss | None, metric: Metric | None) -> None:
        self._task, self._loss, self._metric = task, loss, metric
        self.metric = metric.name if metric else task.metric
        self.n_counts = task.n_counts + (metric.n_counts if metric else 0)
        self.hits = None if metric else task.hits  # the metric is no share of samples

    def measure(self, output: Tensor, y: Tensor, *, over: Over = "classes") -> Results:
        """Measure samples as the task does."""
        return self._task.measure(output, y, over=over)

    def criterion(self, output: Tensor, y: Tensor, *, label_smoothing: float) -> Tensor:
        """The loss to train with: (b,)."""
        if self._loss is None:
            return self._task.criterion(output, y, label_smoothing=label_smoothing)
        losses = self._loss(output.float(), y)
        if not isinstance(losses, Tensor) or losses.shape != (len(y),):
            got = list(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise WorkloadError(
                f"the loss must be one number for each of {len(y)} samples, got {got}",
                hint="as reduction='none' of torch gives; strategies weight the samples",
            )
        return losses

    def counts(self, output: Tensor, y: Tensor) -> Tensor:
        """Count what ``scores`` needs of both, (n_counts,) float64."""
        counts = self._task.counts(output, y)
        if self._metric is None:
            return counts
        own = self._metric.counts(output.float(), y)
        if own.shape != (self._metric.n_counts,):
            raise WorkloadError(
                f"metric {self.metric}: must count {self._metric.n_counts} numbers, got {list(own.shape)}"
            )
        return torch.cat([counts, own.double()])

    def scores(self, totals: Tensor) -> Scores:
        """The task's scores, with the metric in place of its own."""
        scores = self._task.scores(totals[: self._task.n_counts])
        if self._metric is None:
            return scores
        score = float(self._metric.score(totals[self._task.n_counts :]))
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise WorkloadError(f"metric {self.metric}: must be in [0, 1], higher is better, got {score}")
        return scores._replace(val_acc1=score)


def with_own(task: Task, recipe: Recipe, n_classes: int) -> Task:
    """The task with the loss and the metric of a recipe that are one's own; the task itself where there is neither.

    Raises:
        ConfigError: One of them cannot be loaded.
        WorkloadError: One of them is not what it must be.
    """
    loss: Loss | None = None
    metric: Metric | None = None
    if recipe.loss != CROSS_ENTROPY:
        loss = own_code.instance(recipe.loss, "loss")
        if not callable(loss) or (isinstance(loss, nn.Module) and list(loss.parameters())):
            raise WorkloadError(f"loss {recipe.loss}: must be called with (output, y) and have no parameters to train")
    if recipe.metric != "task":
        metric = own_code.instance(recipe.metric, "metric", n_classes)
        absent = [name for name in ("name", "n_counts", "counts", "score") if not hasattr(metric, name)]
        if absent:
            raise WorkloadError(f"metric {recipe.metric}: has no {', '.join(absent)} (kbench.tasks.own.Metric)")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9@ .-]{0,29}", str(metric.name)):
            text = f"metric {recipe.metric}: its name must be up to 30 letters, digits, spaces, - . and @"
            raise WorkloadError(f"{text}, got {metric.name!r}")
    return WithOwn(task, loss, metric) if loss or metric else task
