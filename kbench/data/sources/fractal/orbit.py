"""Orbits of systems of affine maps, many side by side, and the pixels that they fall on."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Pixels = NDArray[np.intp]

PAD = 6  # [pixel] margin on each side of an image
LOST = 100  # points left out before the first that is no number, as published
STEPS = 100  # whose maps are looked up together


def choose_maps(shares: Floats, numbers: Floats) -> Bytes:
    """Choose a map by each random number in [0, 1): the first whose running sum of ``shares`` is not below it."""
    choices = np.zeros(len(numbers), dtype=np.uint8)
    for bound in np.cumsum(shares)[:-1]:
        choices += numbers > bound
    return choices


def orbits(maps: Floats, choices: Bytes) -> Floats:
    """Follow m systems of k maps from (0, 0): (n, 2, m), the points x, y of each.

    ``maps``: (m, k, 6) of a to f in x' = a x + b y + e, y' = c x + d y + f; ``choices``: (n - 1, m), or
    (n - 1, 1) where all choose alike.  Sums and products are those of a loop over single numbers, in
    its order, so that the points are too, bit for bit.
    """
    m, k, _ = maps.shape
    n = len(choices) + 1
    table = maps.reshape(m * k, 6).T[[0, 2, 1, 3, 4, 5]].copy()  # a c, b d, e f: what is multiplied by x, by y, added
    first = np.arange(m) * k
    points = np.zeros((n, 2, m))
    looked_up = np.empty((STEPS, 6, m))
    factors, shifts = looked_up[:, :4].reshape(STEPS, 2, 2, m), looked_up[:, 4:]
    sources, terms = points[:, :, None, :], np.empty((2, 2, m))
    by_x, by_y = terms
    multiply, add = np.multiply, np.add
    with np.errstate(over="ignore", invalid="ignore"):  # some systems fly off
        for start in range(0, n - 1, STEPS):
            end = min(start + STEPS, n - 1)
            rows = first + choices[start:end]
            for column in range(6):
                looked_up[: end - start, column] = table[column].take(rows)
            steps = zip(factors, shifts, sources[start:end], points[start + 1 : end + 1], strict=False)
            for factor, shift, source, target in steps:
                multiply(factor, source, terms)
                add(by_x, by_y, target)
                add(target, shift, target)
    return points


def pixels(orbit: Floats, *, side: int) -> tuple[Pixels, Pixels]:
    """Columns and rows in a square of ``side`` pixels that an orbit ((n, 2)) is stretched to fill, in its order."""
    known = orbit[: _known(orbit)]
    return _stretched(known[:, 0].copy(), side), _stretched(known[:, 1].copy(), side)


def _known(orbit: Floats) -> int:
    """How many points count: all, or those well before the first that is no number."""
    for axis in (0, 1):
        if np.isnan(orbit[-1, axis]):  # once lost, never found again
            return max(0, int(np.isnan(orbit[:, axis]).argmax()) - LOST)
    return len(orbit)


def _stretched(at: Floats, side: int) -> Pixels:
    """Where values lie along a side, from its margin to its margin; changes ``at``."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lowest = at.min()
        if lowest < 0:
            at -= lowest
        at /= at.max() - at.min()
        at *= float(side - 2 * PAD)
        at += float(PAD)
    # the published cast makes 0 of what is no number, as on an axis that is nowhere wide or infinitely so
    at[np.isnan(at)] = 0.0
    return at.astype(np.intp)
