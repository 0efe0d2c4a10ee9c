"""One pair, made real: its data, its model, and what a loss, a hit and a certainty are for it."""

import importlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kbench.errors import WorkloadError
from kbench.spec.experiment import Pair
from kbench.workloads import DATASETS, MODELS, TIMM
from kbench.workloads.arrays import Arrays
from kbench.workloads.augment import augmented

Results = tuple[Tensor, Tensor, Tensor, Tensor]  # (b,) loss, correct, confidence, residual


class Workload:
    """The data and the task of a pair on one device; the same for every strategy."""

    metric = "top1"  # what val_acc1 means

    def __init__(self, pair: Pair, device: torch.device) -> None:
        self.pair, self.recipe, self.device = pair, pair.recipe, device
        self.card = DATASETS[pair.dataset]
        train, val = _resolve(self.card.target)()
        if (len(train), len(val)) != (self.card.n_train, self.card.n_val):
            raise WorkloadError(
                f"{pair.dataset}: {len(train)} training and {len(val)} validation samples found, "
                f"{self.card.n_train} and {self.card.n_val} expected"
            )
        self.train: Arrays = train.to(device)
        self.val: Arrays = val.to(device)
        self.n_samples, self.n_classes = len(train), self.card.n_classes

    def model(self) -> nn.Module:
        """Build the model with fresh weights from torch's global random stream."""
        return build_model(self.pair.model, self.card.shape, self.n_classes)

    def batches(self, ids: Iterable[Tensor], *, key: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield (ids, images, labels) of the training set for each of ``ids``, augmented.

        ``key`` names the augmentation's stream: the same sample in the same epoch looks the same,
        whoever trains on it and wherever it stands in the order.
        """
        for chunk in ids:
            there = chunk.to(self.device)
            x, y = self.train.at(there)
            yield there, augmented(x, there, how=self.recipe.augment, key=key), y

    def measure(self, output: Tensor, y: Tensor, *, over: Literal["classes", "batch"] = "classes") -> Results:
        """Per sample: plain cross-entropy [nat], right or wrong, confidence, residual.

        Always from float32 logits without label smoothing, whatever the recipe trains with.  The
        confidence is the probability of the true class; ``over`` the batch it is what published code
        takes for one, the largest of a sample's row in a softmax over the samples.  The residual is
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

    def criterion(self, output: Tensor, y: Tensor) -> Tensor:
        """The recipe's training loss: (b,) [nat]."""
        smoothing = self.recipe.label_smoothing
        return F.cross_entropy(output.float(), y, reduction="none", label_smoothing=smoothing)


def build_model(name: str, shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """Build a model by its name in MODELS, or ``timm:NAME`` for any of timm's, untrained."""
    if name.startswith(TIMM):
        import timm

        built: nn.Module = timm.create_model(
            name.removeprefix(TIMM), pretrained=False, num_classes=n_classes, in_chans=shape[0]
        )
        return built
    model: nn.Module = _resolve(MODELS[name].target)(shape, n_classes)
    return model


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
