"""Images of a class: 25 variations of its maps, drawn several times with 3x3 patches of other random masks.

As in fractal_renderer/ of FractalDB-Pretrained-ResNet-PyTorch @1b8fb9f with the values of its exe.sh (362 pixels,
200,000 points, weights_0.4, patch_gray, 10 instances).  Departure: Python's random draws the masks there and is
not seeded, so that no two makings agree; here they are drawn by (class, variation, instance).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kbench.data.sources.fractal.orbit import Floats, Pixels, choose_maps, orbits, pixels

FACTORS = (0.2, 0.6, 1.0, 1.4, 1.8)
GREY = 127  # of what is drawn, on black
ORBIT_SEED = 100  # the same for every image, as published
MASK_SEED = 7
PATCH = 3  # [pixel]

Bits = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """How large and how often a class is drawn; the defaults are the published ones."""

    side: int = 362  # [pixel]
    points: int = 200_000
    instances: int = 10  # with masks of their own, of each variation


class Drawing(NamedTuple):
    """An image before it is flipped."""

    variation: int
    instance: int
    bits: Bits  # (side, side): where it is grey


def variations() -> Floats:
    """(25, 6): what each variation multiplies a to f of all maps with; one of them changes, or none."""
    rows = [[1.0] * axis + [factor] + [1.0] * (5 - axis) for axis in range(6) for factor in FACTORS]
    return np.array([row for i, row in enumerate(rows) if i < len(FACTORS) or row != [1.0] * 6])


def drawings(category: int, maps: Floats, shares: Floats, settings: RenderSettings) -> Iterator[Drawing]:
    """Draw a class: for each variation its instances 0 to ``settings.instances``, one more than are trained on.

    The shares of the maps are the same for all variations, as published.
    """
    numbers = np.random.RandomState(ORBIT_SEED).random_sample(settings.points)[:-1]
    varied = variations()[:, None, :] * maps
    points = orbits(varied, choose_maps(shares, numbers)[:, None])
    for variation in range(len(varied)):
        columns, rows = pixels(points[:, :, variation], side=settings.side)
        newest, place = covers(columns, rows, side=settings.side)
        for instance in range(settings.instances + 1):
            stream = np.random.RandomState([MASK_SEED, category, variation, instance])
            masks = stream.randint(1, 2 ** (PATCH * PATCH), size=len(columns), dtype=np.uint16)
            yield Drawing(variation, instance, painted(masks, newest, place))


def covers(columns: Pixels, rows: Pixels, *, side: int) -> tuple[Pixels, Pixels]:
    """Find which patch is on top: for each pixel the newest point whose patch covers it, and which of its nine cells.

    ``columns, rows``: (n,) of the points in order; a patch's corner lies one pixel right and below.  Returns
    (side, side) each; -1 where there is no patch.  Patches are opaque, so masks do not matter here.
    """
    last: Pixels = np.full((side, side), -1, dtype=np.intp)
    np.maximum.at(last.reshape(-1), rows * side + columns, np.arange(len(rows)))
    newest, place = np.full((side, side), -1, dtype=np.intp), np.full((side, side), -1, dtype=np.intp)
    for i in range(PATCH):
        for j in range(PATCH):
            moved = np.full((side, side), -1, dtype=np.intp)
            moved[1 + i :, 1 + j :] = last[: side - 1 - i, : side - 1 - j]
            above = moved > newest
            newest[above] = moved[above]
            place[above] = i * PATCH + j
    return newest, place


def painted(masks: NDArray[np.uint16], newest: Pixels, place: Pixels) -> Bits:
    """The image of points with ``masks`` ((n,), nine bits each, row by row from the highest); the y axis points up."""
    cell = (masks[newest] >> (PATCH * PATCH - 1 - place).astype(np.uint16)) & 1
    grey: Bits = (cell == 1) & (newest >= 0)
    return grey[::-1]


def flipped(bits: Bits) -> list[Bits]:
    """The four images of a drawing: as it is, upside down, mirrored, both."""
    return [bits, bits[::-1], bits[:, ::-1], bits[::-1, ::-1]]
