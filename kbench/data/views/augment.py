"""Augmentation of batches of images on the device, by random numbers that belong to each sample."""

import math
from functools import lru_cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from kbench.config import own_code
from kbench.data.views.hashed_random import random_boxes, salted, uniform
from kbench.data.views.normalize import normalized_and_erased
from kbench.data.views.spec import ViewSpec
from kbench.errors import WorkloadError

PAD = 4  # [pixel] around an image of which a piece of the old size is cut out
CROP_AREA, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # as torchvision's RandomResizedCrop, after Szegedy et al. 2014


def viewed(x: Tensor, ids: Tensor, view: ViewSpec) -> Tensor:
    """Show a batch as a view does: augmented, resized, normalised, erased.

    Args:
        x: Images (b, c, h, w), uint8 in [0, 255] or float32.
        ids: Their samples, (b,) int64 on the same device.
        view: What is done.

    Returns:
        Images (b, c, size, size) float32, as a model takes them.
    """
    if view.augment == "resized-crop":
        x = resized_crop(x, ids, key=view.key, size=view.size or x.shape[-1])
    else:
        x = resized(augmented(x, ids, how=view.augment, key=view.key), view)
    return normalized_and_erased(x, ids, view)


def augmented(x: Tensor, ids: Tensor, *, how: str, key: int) -> Tensor:
    """Augment a batch; images keep their size and their type.

    Args:
        x: Images (b, c, h, w).
        ids: Their samples, (b,) int64 on the same device.
        how: Name of an augmentation, or ``package.module:Name`` of an OwnAugmentation.
        key: Names the stream of random numbers: (seed, phase, epoch), equal for all strategies of a seed.

    Raises:
        ValueError: There is no such augmentation.
    """
    if how == "none":
        return x
    if own_code.is_reference(how):
        return augmented_by_own(x, ids, target=how, key=key)
    if how == "shift":
        return shifted(x, uniform(key, ids, 2), pixels=1)
    if how not in ("flip", "crop", "crop-flip"):
        raise ValueError(f"unknown augmentation {how!r}")
    if how != "flip":
        x = shifted(x, uniform(salted(key, "crop"), ids, 2), pixels=PAD)
    return x if how == "crop" else flipped(x, ids, key=key)


class OwnAugmentation(Protocol):
    """An augmentation of one's own: ``recipe.augment: package.module:Name``, an object or a class without arguments.

    It draws nothing itself: its random numbers belong to the samples, so that every strategy meets the same views.
    """

    n_random: int  # numbers that it needs for each sample

    def __call__(self, x: Tensor, random: Tensor) -> Tensor:
        """Augment images ``x``, (b, c, h, w) uint8 pixels or float32, by ``random``, (b, n_random) in [0, 1).

        Returns images of the same shape and type; ``x`` itself is not changed.
        """


def augmented_by_own(x: Tensor, ids: Tensor, *, target: str, key: int) -> Tensor:
    """Augment a batch, (b, c, h, w), by an augmentation of one's own.

    Raises:
        WorkloadError: It returned images of another shape or type.
    """
    own = _own_augmentation(target)
    views = own(x, uniform(salted(key, target), ids, own.n_random))
    if not isinstance(views, Tensor) or (views.shape, views.dtype) != (x.shape, x.dtype):
        got = f"{views.dtype} {list(views.shape)}" if isinstance(views, Tensor) else type(views).__name__
        raise WorkloadError(
            f"augment {target}: must return images of the shape and type that it gets, "
            f"{x.dtype} {list(x.shape)}, got {got}"
        )
    return views


@lru_cache(maxsize=8)
def _own_augmentation(target: str) -> OwnAugmentation:
    own: OwnAugmentation = own_code.instance(target, "augment")
    n_random = getattr(own, "n_random", None)
    if not callable(own) or not isinstance(n_random, int) or n_random < 0:
        raise WorkloadError(
            f"augment {target}: must have n_random, a whole number, and be called with (x, random), got {own!r}",
            hint="kbench.data.views.augment.OwnAugmentation is what it must be",
        )
    return own


def flipped(x: Tensor, ids: Tensor, *, key: int) -> Tensor:
    """Mirror each image, (b, c, h, w), left to right with probability 1/2."""
    mirror = uniform(salted(key, "flip"), ids, 1) < 0.5
    return torch.where(mirror[:, :, None, None], x.flip(3), x)


def shifted(x: Tensor, at: Tensor, *, pixels: int) -> Tensor:
    """Shift each image, (b, c, h, w), by up to ``pixels`` up, down, left and right; ``at``: (b, 2) in [0, 1)."""
    b, _, h, w = x.shape
    steps = (at * (2 * pixels + 1)).long()
    rows = steps[:, 0, None] + torch.arange(h, device=x.device)
    columns = steps[:, 1, None] + torch.arange(w, device=x.device)
    padded = F.pad(x, [pixels] * 4)
    image = torch.arange(b, device=x.device)
    return padded.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resized_crop(x: Tensor, ids: Tensor, *, key: int, size: int) -> Tensor:
    """Cut a random piece out of each image, (b, c, h, w), stretch it to (size, size) bilinearly, mirror it or not."""
    h, w = x.shape[-2:]
    numbers = uniform(salted(key, "resized-crop"), ids, 22)
    top, left, height, width, fits = random_boxes(numbers, h=h, w=w, area=CROP_AREA, ratio=CROP_RATIO)
    top, left = (torch.where(fits, edge, 0.0) for edge in (top, left))
    height, width = torch.where(fits, height, float(h)), torch.where(fits, width, float(w))
    zero = torch.zeros_like(top)
    # from [-1, 1] in the piece to [-1, 1] in the image
    across = torch.stack([width / w, zero, (2 * left + width) / w - 1], 1)
    down = torch.stack([zero, height / h, (2 * top + height) / h - 1], 1)
    grid = F.affine_grid(torch.stack([across, down], 1), [len(x), x.shape[1], size, size], align_corners=False)
    cut = F.grid_sample(_as_float(x), grid, padding_mode="border", align_corners=False)
    return flipped(cut, ids, key=key)


def resized(x: Tensor, view: ViewSpec) -> Tensor:
    """Bring the shorter side to ``view.resize`` and cut out the centre of ``view.size``; 0 leaves out a step."""
    if not (view.size or view.resize):
        return x
    size, short = view.size or x.shape[-1], min(x.shape[-2:])
    target = view.resize or size
    if target != short:
        scale = target / short
        shape = [math.floor(side * scale + 0.5) for side in x.shape[-2:]]
        mode, is_pixels = view.interpolation or "bilinear", x.dtype == torch.uint8
        x = F.interpolate(_as_float(x), shape, mode=mode, antialias=True, align_corners=False)
        if mode == "bicubic" and is_pixels:  # it overshoots, and Pillow clips it
            x = x.clamp(0, 1)
    top, left = (x.shape[-2] - size) // 2, (x.shape[-1] - size) // 2
    return x[..., top : top + size, left : left + size]


def _as_float(x: Tensor) -> Tensor:
    """Pixels as float32 in [0, 1]; what is float already is left."""
    return x.float() / 255 if x.dtype == torch.uint8 else x
