"""How samples are seen, and what a data set offers for it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

ViewedBatch = tuple[Tensor, Tensor, Tensor]  # ids (b,) int64, images (b, c, h, w), labels (b, ...), on the device


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """How an epoch sees samples.  What a sample meets depends on ``key`` and its id, on nothing else."""

    augment: str = "none"  # name of an augmentation
    key: int = 0  # names the stream of random numbers: (seed, phase, epoch), equal for all strategies of a seed
    size: int = 0  # [pixel] side of the square that the model sees; 0: as it is
    resize: int = 0  # [pixel] shorter side before the centre is cut out (augment "none"); 0: size
    cutout: int = 0  # [pixel] side of a square that is set to 0
    erase: float = 0.0  # probability of random erasing, in [0, 1]
    erase_mode: str = ""  # const: with 0; pixel: with normal noise; empty: noise with timm's RandAugment
    interpolation: str = ""  # bilinear, bicubic or random; empty: the augmentation's own
    mean: tuple[float, ...] = ()  # per channel, of pixels in [0, 1]; empty: pixels are not normalised
    std: tuple[float, ...] = ()  # likewise


class Source(Protocol):
    """The samples of one part of a data set, by their ids 0 to n-1."""

    def __len__(self) -> int: ...

    @property
    def labels(self) -> Tensor | None:
        """(n,) int64: the class of each sample; None where it has no single one."""

    def to(self, device: torch.device) -> Self:
        """The same samples, seen on ``device``."""

    def batches(self, ids: Iterable[Tensor], view: ViewSpec) -> Iterator[ViewedBatch]:
        """Yield the samples of each of ``ids`` ((b,) int64, on any device), in that order, as the view shows them."""
