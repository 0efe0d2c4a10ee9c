"""A data set that fits into memory: decoded, on the device, gathered by sample id."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Arrays:
    """Images ``x`` ((n, c, h, w) float32) and labels ``y`` ((n,) int64)."""

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
