"""What a task defines for every sample, and classification: one class for each sample."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Results = tuple[Tensor, Tensor, Tensor, Tensor]  # (b,) each: loss [nat], correct (bool), confidence, error_norm
MOST_CLASSES = 1000  # whose accuracies are recorded one by one
Over = Literal["classes", "batch"]  # the axis of the softmax that gives the confidence


class Scores(NamedTuple):
    """How good a model is on a set of samples."""

    val_loss: float  # [nat] mean over samples
    val_acc1: float  # in [0, 1]: the task's metric
    val_acc5: float | None  # in [0, 1]; None where it says nothing
    val_acc_worst: float | None = None  # in [0, 1]: top-1 of the class that has the lowest; None where it says nothing
    val_acc_classes: tuple[float | None, ...] | None = None  # in [0, 1], by class; None for one without a sample


class Task(Protocol):
    """What is trained for.

    ``output`` is what a model gives for b samples, in any precision: logits (b, C) and labels ``y`` (b,) int64 of
    a classification, (b, C, h, w) and (b, h, w) of a segmentation.
    """

    metric: str  # what val_acc1 means
    n_counts: int  # how many numbers ``counts`` adds up

    def measure(self, output: Tensor, y: Tensor, *, over: Over = "classes") -> Results:
        """Measure samples without a graph, (b,) each: loss [nat], right or wrong, confidence in [0, 1], error_norm."""

    def criterion(self, output: Tensor, y: Tensor, *, label_smoothing: float) -> Tensor:
        """The loss to train with: (b,) [nat]."""

    def counts(self, output: Tensor, y: Tensor) -> Tensor:
        """Count what ``scores`` needs: (n_counts,) float64 that add up over batches and ranks."""

    def scores(self, totals: Tensor) -> Scores:
        """Score all samples whose counts were added up, (n_counts,) float64."""

    @property
    def hits(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """Tell from output and ``y`` which samples are right, (b,) bool; None: the metric is no share of them."""


class Classification:
    """One of ``n_classes`` for each sample: logits (b, n_classes), labels (b,) int64."""

    metric = "top1"

    def __init__(self, n_classes: int) -> None:
        self.n_classes, self.n_counts = n_classes, 4 + 2 * n_classes

    def measure(self, output: Tensor, y: Tensor, *, over: Over = "classes") -> Results:
        """Measure samples, (b,) each: plain cross-entropy [nat], right or wrong, confidence in [0, 1], error_norm.

        Always from float32 logits without label smoothing, whatever the recipe trains with.  The
        confidence is the probability of the true class; ``over`` the batch it is what published code
        takes for one, the largest of a sample's row in a softmax over the samples.  The error_norm is
        the Euclidean norm of softmax minus one-hot: the gradient with respect to the logits
        (Katharopoulos and Fleuret, arXiv:1803.00942), and EL2N (Paul et al., arXiv:2107.07075).
        """
        logits = output.float()
        loss = F.cross_entropy(logits, y, reduction="none")
        confidence = torch.exp(-loss) if over == "classes" else logits.softmax(0).amax(1)
        error, rows = logits.softmax(1), torch.arange(len(y), device=y.device)
        error[rows, y] = 0
        error[rows, y] = -error.sum(1)  # p - 1 would round to 0 where the model is very sure
        return loss, logits.argmax(1) == y, confidence, error.norm(dim=1)

    def criterion(self, output: Tensor, y: Tensor, *, label_smoothing: float) -> Tensor:
        """The cross-entropy: (b,) [nat]."""
        return F.cross_entropy(output.float(), y, reduction="none", label_smoothing=label_smoothing)

    def counts(self, output: Tensor, y: Tensor) -> Tensor:
        """Count, (n_counts,) float64: sum of losses [nat], hits, hits among the first five, samples; each class's.

        Of the classes, in their order, first the hits, then the samples.
        """
        logits = output.float()
        ranked = self._ranked(logits, y)
        loss = F.cross_entropy(logits, y, reduction="sum")
        n = torch.tensor(float(len(y)), device=y.device)
        of_all = torch.stack([loss.double(), ranked[:, 0].sum().double(), ranked.sum().double(), n.double()])
        hits_and_ones = torch.stack([ranked[:, 0].double(), torch.ones_like(y, dtype=torch.float64)])
        of_classes = of_all.new_zeros(2, self.n_classes).index_add_(1, y, hits_and_ones)  # whole: exact in any order
        return torch.cat([of_all, of_classes.flatten()])

    def scores(self, totals: Tensor) -> Scores:
        """Mean loss and accuracies; top-5 of five classes or fewer says nothing.

        The worst class is one of those that have samples; more than ``MOST_CLASSES`` are not listed.
        """
        loss, top1, top5, n = totals[:4].tolist()
        hits, counts = totals[4:].view(2, self.n_classes).tolist()
        classes = tuple(hit / count if count else None for hit, count in zip(hits, counts, strict=True))
        return Scores(
            val_loss=loss / n,
            val_acc1=top1 / n,
            val_acc5=top5 / n if self.n_classes > 5 else None,
            val_acc_worst=min((accuracy for accuracy in classes if accuracy is not None), default=None),
            val_acc_classes=classes if self.n_classes <= MOST_CLASSES else None,
        )

    def hits(self, output: Tensor, y: Tensor) -> Tensor:
        """Which samples are right, (b,) bool: as ``counts`` counts them."""
        return self._ranked(output.float(), y)[:, 0]

    def _ranked(self, logits: Tensor, y: Tensor) -> Tensor:
        """Whether each of the first five classes is the true one, (b, 5) bool."""
        return logits.topk(min(5, self.n_classes), dim=1).indices == y[:, None]
