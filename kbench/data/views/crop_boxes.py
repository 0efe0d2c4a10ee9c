"""Random rectangles in images, one for each sample."""

import math

import torch
from torch import Tensor

TRIES = 10


def random_boxes(
    numbers: Tensor, *, h: int, w: int, area: tuple[float, float], ratio: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rectangles of random area and aspect in images of ``h`` x ``w`` pixels: (b,) top, left, height, width, fits.

    ``numbers``: (b, 22) in [0, 1), two for each of ten tries and two for the place.  ``area`` is a range of
    shares of the image, uniform; ``ratio`` of widths over heights, uniform in the logarithm.  The first try
    that fits is taken, as torchvision's RandomResizedCrop and RandomErasing do; ``fits`` is false where none did.
    Edges are whole pixels, as float32.
    """
    areas = (area[0] + numbers[:, :TRIES] * (area[1] - area[0])) * h * w
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = torch.exp(low + numbers[:, TRIES : 2 * TRIES] * (high - low))
    widths, heights = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()
    good = (widths > 0) & (widths <= w) & (heights > 0) & (heights <= h)
    first = good.int().argmax(1, keepdim=True)
    width, height = (side.gather(1, first).squeeze(1) for side in (widths, heights))
    top = (numbers[:, -2] * (h - height + 1)).floor()
    left = (numbers[:, -1] * (w - width + 1)).floor()
    return top, left, height, width, good.any(1)
