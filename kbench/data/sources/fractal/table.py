"""The classes found so far, as a table beside the images: a row per affine map."""

import csv
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from kbench import files
from kbench.data.sources.fractal.search import Batch, Category
from kbench.errors import WorkloadError

COLUMNS = ("category", "draw", "fill", "a", "b", "c", "d", "e", "f", "share")
MARK = "draws made"


def write(path: Path, categories: Sequence[Category], *, n_draws: int) -> None:
    """Write the table whole or not at all; numbers have the 19 digits of the published ones."""
    with files.writing(path) as draft, draft.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow((MARK, n_draws))
        rows.writerow(COLUMNS)
        for place, found in enumerate(categories):
            for each, share in zip(found.maps, found.shares, strict=True):
                rows.writerow((place, found.draw, found.fill, *(f"{value:.18e}" for value in (*each, share))))


def read(path: Path) -> Batch:
    """The classes of a table, and after how many draws they were all; none where there is no table.

    Raises WorkloadError when it is damaged.
    """
    if not path.exists():
        return Batch(0, [])
    try:
        (mark, n_draws), columns, *rows = csv.reader(path.read_text().splitlines())
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
