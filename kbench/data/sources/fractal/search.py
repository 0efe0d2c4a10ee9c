"""Search for the fractals that are classes: random systems of affine maps that fill a fifth of their square.

Those found so far are kept in a table beside the images, a row for each affine map.

As in param_search/ of FractalDB-Pretrained-ResNet-PyTorch @1b8fb9f (Kataoka et al., arXiv:2101.08515): the same
stream of random numbers in the same order, hence the same classes, to the last bit.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kbench import files
from kbench.data.sources.fractal.orbit import Floats, choose_maps, orbits, pixels
from kbench.data.store.parallel import in_order
from kbench.errors import WorkloadError

SEED = 1
N_POINTS = 100_000
SIDE = 512  # [pixel]
FILL = 0.2  # fraction of the square's pixels that a class has to reach
TOGETHER = 64  # draws that are followed side by side
MARK = "draws made"  # first cell of the table
COLUMNS = ("category", "draw", "fill", "a", "b", "c", "d", "e", "f", "share")

StreamState = dict[str, Any]  # as numpy gives and takes it


class Draw(NamedTuple):
    """A system of affine maps."""

    maps: Floats  # (k, 6): a to f of each
    shares: Floats  # (k,): how often each is chosen, in proportion to its determinant


class Category(NamedTuple):
    """A draw that became a class."""

    draw: int  # its place among all draws, from 0
    fill: float  # fraction of the pixels that its points reach
    maps: Floats
    shares: Floats


class Batch(NamedTuple):
    """The classes among some draws, and how many draws there were up to the last of them."""

    n_draws: int
    found: list[Category]


def search(known: Sequence[Category] = (), *, n_draws: int = 0, workers: int = 1) -> Iterator[Batch]:
    """Go on drawing without end, batch after batch, after ``n_draws`` draws that gave ``known``."""
    yield Batch(n_draws, list(known))
    stream = np.random.RandomState(SEED)
    for _ in range(n_draws):
        _skip(stream)
    for batch in in_order(_search_piece, _pieces(stream, n_draws), workers=workers):
        yield batch


def fill_of(orbit: Floats) -> float:
    """The fraction of the square's pixels that an orbit ((n, 2)) reaches."""
    columns, rows = pixels(orbit, side=SIDE)
    reached = np.zeros(SIDE * SIDE, dtype=bool)
    reached[rows * SIDE + columns] = True
    return float(np.count_nonzero(reached) / (SIDE * SIDE))


def _pieces(stream: np.random.RandomState, n_draws: int) -> Iterator[tuple[StreamState, int]]:
    """States of the stream, each followed by the number of draws made before."""
    while True:
        yield stream.get_state(legacy=False), n_draws
        for _ in range(TOGETHER):
            _skip(stream)
        n_draws += TOGETHER


def _search_piece(piece: tuple[StreamState, int]) -> Batch:
    state, start = piece
    stream = np.random.RandomState()
    stream.set_state(state)
    draws, choices = [], np.empty((TOGETHER, N_POINTS - 1), dtype=np.uint8)
    maps = np.zeros((TOGETHER, 7, 6))
    for i in range(TOGETHER):
        draw = _draw(stream)
        choices[i] = choose_maps(draw.shares, stream.random_sample(N_POINTS)[:-1])
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


def _skip(stream: np.random.RandomState) -> None:
    """Move the stream past a draw and its orbit."""
    _draw(stream)
    stream.random_sample(N_POINTS)


def write_table(path: Path, categories: Sequence[Category], *, n_draws: int) -> None:
    """Write the table whole or not at all; numbers have the 19 digits of the published ones."""
    with files.writing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow((MARK, n_draws))
        rows.writerow(COLUMNS)
        for number, found in enumerate(categories):
            for affine, share in zip(found.maps, found.shares, strict=True):
                rows.writerow((number, found.draw, found.fill, *(f"{value:.18e}" for value in (*affine, share))))


def read_table(path: Path) -> Batch:
    """Read the classes of a table, and how many draws gave them; none where there is no table.

    Raises:
        WorkloadError: It is damaged.
    """
    if not path.exists():
        return Batch(0, [])
    try:
        (mark, n_draws), columns, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        if mark != MARK or tuple(columns) != COLUMNS:
            raise ValueError(f"its first lines are {mark},{n_draws} and {','.join(columns)}")
        found = [_category([*lines]) for _, lines in groupby(rows, key=lambda row: row[0])]
        return Batch(int(n_draws), found)
    except (ValueError, IndexError) as error:
        raise WorkloadError(
            f"{path}: is no table of categories: {error}", hint="remove it, and prepare the data set again"
        ) from error


def _category(rows: Sequence[Sequence[str]]) -> Category:
    numbers = np.array([[float(value) for value in row[3:]] for row in rows])
    return Category(int(rows[0][1]), float(rows[0][2]), numbers[:, :6], numbers[:, 6])
