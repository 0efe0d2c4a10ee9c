"""Which fractals are classes: random systems of affine maps, of those that fill a fifth of their square.

As in param_search/ of FractalDB-Pretrained-ResNet-PyTorch @1b8fb9f (Kataoka et al., arXiv:2101.08515): the same
stream of random numbers in the same order, hence the same classes, to the last bit.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from kbench.data.sources.fractal.orbit import Floats, chosen, orbits, pixels
from kbench.data.sources.fractal.processes import in_order

SEED = 1
N_POINTS = 100_000
SIDE = 512  # [pixel]
FILL = 0.2  # share of the square's pixels that a class has to reach
TOGETHER = 64  # draws that are followed side by side


State = dict[str, Any]  # of a stream, as numpy gives and takes it


class Draw(NamedTuple):
    """A system of affine maps."""

    maps: Floats  # (k, 6): a to f of each
    shares: Floats  # (k,): how often each is chosen, in proportion to its determinant


class Category(NamedTuple):
    """A draw that became a class."""

    draw: int  # its place among all draws, from 0
    fill: float  # share of the pixels that its points reach
    maps: Floats
    shares: Floats


class Batch(NamedTuple):
    """The draws of a piece of the stream, those that are classes kept."""

    n_draws: int  # made up to its end
    found: list[Category]


def search(known: Sequence[Category] = (), *, n_draws: int = 0, workers: int = 1) -> Iterator[Batch]:
    """Go on drawing for ever, batch after batch, after ``n_draws`` draws that gave ``known``."""
    yield Batch(n_draws, list(known))
    stream = np.random.RandomState(SEED)
    for _ in range(n_draws):
        _pass(stream)
    for batch in in_order(_accepted, _pieces(stream, n_draws), workers=workers):
        yield batch


def fill_of(orbit: Floats) -> float:
    """The share of the square's pixels that an orbit ((n, 2)) reaches."""
    columns, rows = pixels(orbit, side=SIDE)
    reached = np.zeros(SIDE * SIDE, dtype=bool)
    reached[rows * SIDE + columns] = True
    return float(np.count_nonzero(reached) / (SIDE * SIDE))


def _pieces(stream: np.random.RandomState, n_draws: int) -> Iterator[tuple[State, int]]:
    """States of the stream, each followed by the number of draws made before."""
    while True:
        yield stream.get_state(legacy=False), n_draws
        for _ in range(TOGETHER):
            _pass(stream)
        n_draws += TOGETHER


def _accepted(piece: tuple[State, int]) -> Batch:
    state, start = piece
    stream = np.random.RandomState()
    stream.set_state(state)
    draws, choices = [], np.empty((TOGETHER, N_POINTS - 1), dtype=np.uint8)
    maps = np.zeros((TOGETHER, 7, 6))
    for i in range(TOGETHER):
        draw = _draw(stream)
        choices[i] = chosen(draw.shares, stream.random_sample(N_POINTS)[:-1])
        maps[i, : len(draw.maps)] = draw.maps
        draws.append(draw)
    points = orbits(maps, choices.T)
    fills = [fill_of(points[:, :, i]) for i in range(TOGETHER)]
    found = [Category(start + i, fills[i], *draw) for i, draw in enumerate(draws) if fills[i] >= FILL]
    return Batch(start + TOGETHER, found)


def _draw(stream: np.random.RandomState) -> Draw:
    maps = stream.uniform(-1.0, 1.0, (stream.randint(2, 8), 6))
    a, b, c, d = maps.T[:4]
    determinants = np.abs(a * d - b * c)
    return Draw(maps, determinants / np.cumsum(determinants)[-1])  # summed one by one, as published


def _pass(stream: np.random.RandomState) -> None:
    """Move the stream past a draw and its orbit."""
    _draw(stream)
    stream.random_sample(N_POINTS)
