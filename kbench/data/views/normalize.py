"""The last steps of a view on the device, alike for all data sets: normalisation, cutout, random erasing."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from kbench.data.views.hashed_random import random_boxes, salted, uniform
from kbench.data.views.spec import ViewSpec

# Of timm, after Zhong et al. 2017; torchvision's ratio ends at 3.3.
ERASED_AREA, ERASED_RATIO = (0.02, 1 / 3), (0.3, 10 / 3)
NOISY = ("randaugment", "randaugment-flips")  # erase with normal noise by pixel, as timm's mode "pixel"; else with 0


def normalized_and_erased(x: Tensor, ids: Tensor, view: ViewSpec) -> Tensor:
    """Normalise a batch, and blank out what the view asks for.

    Args:
        x: Images (b, c, h, w), uint8 in [0, 255] or float32 in [0, 1]; they are not changed.
        ids: Their samples, (b,) int64 on the same device.
        view: Mean and standard deviation, cutout, random erasing.

    Returns:
        Images (b, c, h, w) float32.
    """
    if x.dtype == torch.uint8:
        x = x.float().div_(255)  # in place from here on, as this copy is used nowhere else, and memory takes the time
    elif view.mean:
        x = x.clone()
    if view.mean:
        mean, std = (_by_channel(row, x.device) for row in (view.mean, view.std))
        x = x.sub_(mean).div_(std)
    if view.cutout:
        x = cut_out(x, uniform(salted(view.key, "cutout"), ids, 2), side=view.cutout)
    if view.erase:
        noisy = view.erase_mode == "pixel" or (not view.erase_mode and view.augment in NOISY)
        x = erased(x, ids, key=view.key, probability=view.erase, noisy=noisy)
    return x


@lru_cache(maxsize=16)
def _by_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(c, 1, 1) on the device: made once, as a copy from the host waits for the device."""
    return torch.tensor(values, device=device)[:, None, None]


def cut_out(x: Tensor, at: Tensor, *, side: int) -> Tensor:
    """Set a square of ``side`` pixels to 0, centred on any pixel of the image; ``at``: (b, 2) in [0, 1).

    What sticks out of the image is lost.  DeVries and Taylor, arXiv:1708.04552.
    """
    h, w = x.shape[-2:]
    top, left = (at[:, 0] * h).floor() - side // 2, (at[:, 1] * w).floor() - side // 2
    return x.masked_fill(_rectangles(x, top, left, top + side // 2 * 2, left + side // 2 * 2), 0)


def erased(x: Tensor, ids: Tensor, *, key: int, probability: float, noisy: bool) -> Tensor:
    """Erase a random rectangle of an image with some probability: with 0, or with N(0, 1) for each number."""
    h, w = x.shape[-2:]
    numbers = uniform(salted(key, "erase"), ids, 23)
    top, left, height, width, fits = random_boxes(
        numbers[:, 1:], h=h, w=w, area=ERASED_AREA, ratio=ERASED_RATIO, full=False
    )
    chosen = (numbers[:, 0] < probability) & fits
    mask = _rectangles(x, top, left, top + height, left + width) & chosen[:, None, None, None]
    return torch.where(mask, _normal(x, ids, key=key), x) if noisy else x.masked_fill(mask, 0)


def _rectangles(x: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """The pixels of a rectangle of each image: (b, 1, h, w) bool."""
    row, column = (torch.arange(n, device=x.device) for n in x.shape[-2:])
    rows = (row >= top[:, None]) & (row < bottom[:, None])
    columns = (column >= left[:, None]) & (column < right[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _normal(x: Tensor, ids: Tensor, *, key: int) -> Tensor:
    """Normal numbers in the shape of ``x``, (b, c, h, w) (Box and Muller 1958)."""
    n = x[0].numel()
    numbers = uniform(salted(key, "erase-pixel"), ids, 2 * n)
    radius = torch.sqrt(-2 * torch.log1p(-numbers[:, :n]))
    return (radius * torch.cos(2 * math.pi * numbers[:, n:])).view_as(x)
