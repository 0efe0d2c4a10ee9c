"""How samples are looked at, and what a data set offers to be looked at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

Looked = tuple[Tensor, Tensor, Tensor]  # sample ids (b,) int64, images (b, c, h, w), labels (b, ...), on the device


@dataclass(frozen=True, kw_only=True)
class View:
    """A way to look at samples.  What a sample meets depends on ``key`` and its id, on nothing else."""

    how: str = "none"  # name of an augmentation
    key: int = 0  # names the stream of random numbers: (seed, phase, epoch), equal for all strategies of a seed
    size: int = 0  # [pixel] side of the square that the model sees; 0: as it is
    resize: int = 0  # [pixel] shorter side before the centre is cut out (how "none"); 0: size
    cutout: int = 0  # [pixel] side of a square that is set to 0
    erase: float = 0.0  # probability of random erasing
    mean: tuple[float, ...] = ()  # per channel, of pixels in [0, 1]
    std: tuple[float, ...] = ()


class Source(Protocol):
    """The samples of one part of a data set, by their ids 0 to n-1."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> Self:
        """The same samples, looked at on ``device``."""

    def batches(self, ids: Iterable[Tensor], view: View) -> Iterator[Looked]:
        """Look at the samples of each of ``ids`` ((b,) int64, on any device), in that order."""
