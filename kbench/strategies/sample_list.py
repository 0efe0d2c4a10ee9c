"""Lists of samples that another program made: ids, or a score for each sample, from .npy, .csv, .txt or .parquet."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENDINGS = (".npy", ".csv", ".txt", ".parquet")
ID, SCORE = "id", "score"  # columns of a table


@dataclass(frozen=True)
class SampleList:
    """What a file holds; rows without ids are the samples in the order of the data set."""

    ids: NDArray[np.int64] | None  # (k,), none twice
    scores: NDArray[np.float64] | None  # (k,), finite

    @property
    def n_ids(self) -> int:
        """The smallest number of samples that a data set must have for it."""
        if self.ids is None:
            return 0 if self.scores is None else len(self.scores)
        return int(self.ids.max()) + 1

    def scores_of(self, n_samples: int) -> NDArray[np.float64]:
        """(n_samples,): the score of each sample.  Raises ValueError unless each has one."""
        if self.scores is None:
            raise ValueError(f"holds ids and no column {SCORE!r}")
        if len(self.scores) != n_samples:
            raise ValueError(f"holds {len(self.scores)} scores, and the data set has {n_samples} training samples")
        if self.ids is None:
            return self.scores
        if self.n_ids > n_samples:
            raise ValueError(f"holds id {self.n_ids - 1}, and the data set has {n_samples} training samples")
        ordered = np.empty_like(self.scores)
        ordered[self.ids] = self.scores
        return ordered


def digest_of(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read(path: Path) -> SampleList:
    """Read a list of samples.

    A .npy file holds whole numbers, which are ids, or other numbers, which are scores in the order of the data set.
    A .txt file holds a number in each line, by the same rule.  A .csv or .parquet table has a column ``id``,
    ``score`` or both.

    Raises:
        ValueError: It cannot be read, holds nothing, an id twice or below 0, or a score that is not finite.
    """
    try:
        columns = _columns(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None
    try:
        return SampleList(ids=_ids(columns.get(ID)), scores=_scores(columns.get(SCORE)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix == ".npy":
        try:
            return _named(np.load(path, allow_pickle=False))
        except (ValueError, EOFError):
            raise ValueError("is no .npy file of numbers") from None
    if path.suffix == ".txt":
        numbers = path.read_text(encoding="utf-8").split()
        whole = all(number.lstrip("+-").isdecimal() for number in numbers)
        return _named(np.array(numbers, dtype=np.int64 if whole else np.float64))
    if path.suffix not in ENDINGS:
        raise ValueError(f"must end in one of {', '.join(ENDINGS)}")
    from pyarrow import csv, parquet

    table = csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)
    found = {name: table[name].to_numpy() for name in (ID, SCORE) if name in table.column_names}
    if not found:
        raise ValueError(f"has no column {ID!r} or {SCORE!r}, but {', '.join(map(repr, table.column_names))}")
    return found


def _named(numbers: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if numbers.ndim != 1:
        raise ValueError(f"must be one row of numbers, got the shape {numbers.shape}")
    return {ID if np.issubdtype(numbers.dtype, np.integer) else SCORE: numbers}


def _ids(column: NDArray[Any] | None) -> NDArray[np.int64] | None:
    if column is None:
        return None
    if not len(column):
        raise ValueError("holds no sample")
    if not np.issubdtype(column.dtype, np.integer):
        raise ValueError(f"ids must be whole numbers, got {column.dtype}")
    ids = column.astype(np.int64)
    if ids.min() < 0:
        raise ValueError(f"ids must be at least 0, got {ids.min()}")
    values, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        raise ValueError(f"holds id {values[counts > 1][0]} {counts.max()} times")
    return ids


def _scores(column: NDArray[Any] | None) -> NDArray[np.float64] | None:
    if column is None:
        return None
    if not len(column):
        raise ValueError("holds no sample")
    try:
        scores = column.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"scores must be numbers, got {column.dtype}") from None
    if not np.isfinite(scores).all():
        raise ValueError(f"the score of row {int((~np.isfinite(scores)).argmax())} is not finite")
    return scores
