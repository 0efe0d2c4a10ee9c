"""Random numbers and rectangles by sample: they depend on its id, never on what else is in the batch."""

import hashlib
import math

import torch
from torch import Tensor

TRIES = 10  # of a rectangle that has to fit
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def uniform(key: int, ids: Tensor, n: int) -> Tensor:
    """Draw numbers for samples ``ids``, (b,) int64, from the stream ``key``: (b, n) float32 in [0, 1).

    SplitMix64 (Steele et al., OOPSLA 2014) evaluated at a counter, so the same sample gets the
    same numbers whatever the order, the rank or the device.
    """
    column = torch.arange(1, n + 1, device=ids.device)
    state = _mix(ids * _GOLDEN + key)[:, None] + column * _GOLDEN
    return _shift(_mix(state), 40).float() / 2**24


def sample_seed(key: int, sample: int) -> int:
    """The 63-bit seed of one sample in the stream ``key``."""
    return int(_mix(torch.tensor([sample]) * _GOLDEN + key)) & (2**63 - 1)


def salted(key: int, purpose: str) -> int:
    """The key of a stream of its own for one purpose, so that a crop and a flip share no numbers."""
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    return key ^ int.from_bytes(digest, "big") >> 1


def random_boxes(
    numbers: Tensor, *, h: int, w: int, area: tuple[float, float], ratio: tuple[float, float], full: bool = True
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Place a rectangle of random area and aspect in each image, as torchvision crops and erases.

    Args:
        numbers: (b, 22) in [0, 1), two for each of ten tries and two for the place.
        h: Height of the images [pixel].
        w: Their width [pixel].
        area: Range of fractions of the image, uniform.
        ratio: Range of widths over heights, uniform in the logarithm.
        full: Whether a side may be as long as the image's; of what is erased it may not.

    Returns:
        (b,) each: top, left, height, width [pixel], whole numbers as float32 of the first try that fits; and
        whether one did.
    """
    areas = (area[0] + numbers[:, :TRIES] * (area[1] - area[0])) * h * w
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = torch.exp(low + numbers[:, TRIES : 2 * TRIES] * (high - low))
    widths, heights = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()
    most_w, most_h = (w, h) if full else (w - 1, h - 1)
    good = (widths > 0) & (widths <= most_w) & (heights > 0) & (heights <= most_h)
    first = good.int().argmax(1, keepdim=True)
    width, height = (side.gather(1, first).squeeze(1) for side in (widths, heights))
    top = (numbers[:, -2] * (h - height + 1)).floor()
    left = (numbers[:, -1] * (w - width + 1)).floor()
    return top, left, height, width, good.any(1)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _MIX[0]
    z = (z ^ _shift(z, 27)) * _MIX[1]
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
