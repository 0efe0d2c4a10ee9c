"""Segmentation: a class for every pixel of an image; what its loss, correctness and confidence are."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kbench.errors import WorkloadError
from kbench.tasks.classification import Over, Results, Scores

GOOD_IOU = 0.82  # where MLPerf HPC calls DeepCAM solved (hpc_training_rules.adoc); here, one sample of it
# DeepCAM's, as in mlcommons/hpc @176c108, deepCam/train.py: background, tropical cyclone, atmospheric river.
FREQUENCY = (0.986267818390377, 0.0004578708870701058, 0.01327431072255291)  # fraction of the pixels
CLASS_WEIGHT = tuple(fraction**-0.125 for fraction in FREQUENCY)


class Segmentation:
    """Every pixel is of one of ``len(class_weight)`` classes; a sample is one image with all its pixels.

    Strategies use four numbers of a sample, and all four are defined over its pixels p of true class t(p):

    * loss: the mean of ``class_weight[t(p)]`` times the cross-entropy of p [nat].  The mean is over
      pixels, not over weights, as in MLPerf HPC's DeepCAM (mlcommons/hpc, utils/losses.py, CELoss):
      the mean over samples is that benchmark's loss of the batch.
    * correct: whether the sample's IoU (see ``iou``) is at least ``good_iou``.  Pixel accuracy would
      call everything right where one class fills 98.6 % of the pixels.
    * confidence, in [0, 1]: the probability given to the true class, averaged over the pixels of
      each class and then over the classes that the sample holds, so that a cyclone that was missed
      is not outvoted by its background.  A uniform guess has 1 / C.
    * error_norm, in [0, sqrt(2)]: the norm of the loss's gradient with respect to all logits of the
      sample, times sqrt(pixels) / max(class_weight): two constants, as all samples have one size.

    There is no published reading of a softmax over the batch axis for segmentation, so that it is refused.
    """

    metric = "mean_iou"
    n_counts = 3
    hits = None

    def __init__(self, class_weight: tuple[float, ...], good_iou: float = GOOD_IOU) -> None:
        self.class_weight, self.good_iou = class_weight, good_iou
        self._on_device: Tensor | None = None  # (C,) the weights

    def measure(self, output: Tensor, y: Tensor, *, over: Over = "classes") -> Results:
        """Measure samples, (b,) each: weighted cross-entropy [nat], right or wrong, confidence, error_norm.

        Args:
            output: Logits (b, C, h, w).
            y: Classes of the pixels, (b, h, w) int64.
            over: Only the classes.

        Raises:
            WorkloadError: ``over`` is the batch.
        """
        if over == "batch":
            raise WorkloadError(
                "a confidence over the batch is not defined for segmentation: no code of KAKURENBO's DeepCAM is public",
                hint="leave confidence_over at its default, classes",
            )
        logits = output.float()
        log_probability = logits.log_softmax(1)
        weight = self._weights(y.device)[y]
        true = log_probability.gather(1, y[:, None]).squeeze(1)
        loss = -(weight * true).mean((1, 2))
        correct = iou(logits.argmax(1), y, n_classes=logits.shape[1]) >= self.good_iou
        return (
            loss,
            correct,
            _confidence(true.exp(), y, logits.shape[1]),
            self._error_norm(log_probability.exp(), y, weight),
        )

    def criterion(self, output: Tensor, y: Tensor, *, label_smoothing: float) -> Tensor:
        """The loss to train with, (b,) [nat]: that of ``measure``, with the recipe's label smoothing."""
        weight = self._weights(y.device)
        loss = F.cross_entropy(output.float(), y, weight, reduction="none", label_smoothing=label_smoothing)
        return loss.mean((1, 2))

    def counts(self, output: Tensor, y: Tensor) -> Tensor:
        """Count, (3,) float64: sum of the losses [nat], sum of the IoUs, samples."""
        logits = output.float()
        loss = F.cross_entropy(logits, y, self._weights(y.device), reduction="none").mean((1, 2), dtype=torch.float64)
        overlap = iou(logits.argmax(1), y, n_classes=logits.shape[1])
        return torch.stack([loss.sum(), overlap.sum(), torch.full_like(loss[0], len(y))])

    def scores(self, totals: Tensor) -> Scores:
        """Mean loss, and as ``val_acc1`` the mean IoU over samples."""
        loss, overlap, n = totals.tolist()
        return Scores(val_loss=loss / n, val_acc1=overlap / n, val_acc5=None)

    def _weights(self, device: torch.device) -> Tensor:
        if self._on_device is None or self._on_device.device != device:  # a copy from the host waits for the device
            self._on_device = torch.tensor(self.class_weight, device=device)
        return self._on_device

    def _error_norm(self, probability: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        others = probability.scatter(1, y[:, None], 0.0)  # p - 1 would round to 0 where the model is very sure
        squared = others.square().sum(1) + others.sum(1).square()
        return (weight.square() * squared).mean((1, 2)).sqrt() / max(self.class_weight)


def iou(predicted: Tensor, y: Tensor, *, n_classes: int) -> Tensor:
    """Intersection over union of each sample, averaged over the classes: (b,) float64 in [0, 1].

    ``predicted`` and ``y``: (b, h, w) classes.  A class that neither holds counts as 1.  Averaged over
    samples it is MLPerf HPC's score (mlcommons/hpc, utils/metric.py; validation is one sample at a time).
    """
    each = []
    for c in range(n_classes):
        answered, true = predicted == c, y == c
        both, either = (answered & true).sum((1, 2)), (answered | true).sum((1, 2))
        each.append(torch.where(either > 0, both.double() / either.clamp_min(1), 1.0))
    return torch.stack(each).mean(0)


def _confidence(probability: Tensor, y: Tensor, n_classes: int) -> Tensor:
    """(b,): the mean over the classes in ``y`` of the mean ``probability`` ((b, h, w)) of their pixels."""
    of_class = [y == c for c in range(n_classes)]  # masks, as a scatter would add in random order on a GPU
    n_pixels = torch.stack([here.sum((1, 2)) for here in of_class])
    total = torch.stack([(probability * here).sum((1, 2)) for here in of_class])
    mean = (total / n_pixels.clamp_min(1)).clamp_max(1.0)
    return mean.sum(0) / (n_pixels > 0).sum(0)
