"""A data set that fits into memory: decoded, on the device, gathered by sample id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.data.views.augment import viewed
from kbench.data.views.spec import Looked, View


@dataclass(frozen=True)
class Arrays:
    """Images ``x`` ((n, c, h, w) uint8 pixels, or float32 as a model takes them) and labels ``y`` ((n,) int64)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> "Arrays":
        """The same data on ``device``."""
        return Arrays(self.x.to(device), self.y.to(device))

    def at(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The samples ``ids`` ((b,) int64 on the data's device), in that order."""
        return self.x[ids], self.y[ids]

    def batches(self, ids: Iterable[Tensor], view: View) -> Iterator[Looked]:
        """Look at the samples of each of ``ids``, in that order, all of a batch at once."""
        for chunk in ids:
            there = chunk.to(self.y.device)
            x, y = self.at(there)
            yield there, viewed(x, there, view), y
