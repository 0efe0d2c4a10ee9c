"""Logs: runs as the files of others hold them, and what all importers need to read and check them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kbench.errors import ResultsError
from kbench.files import reason
from kbench.records.imported import Cell, EpochRow, ImportedEpoch

INT64 = 2**63  # from here on no table can hold a count
State = Literal["done", "interrupted", "failed"]


@dataclass(frozen=True, kw_only=True)
class Log:
    """One run, as the files of others hold it.  What they do not hold is None or absent."""

    run: str  # its name in the files
    files: tuple[Path, ...]
    epochs: tuple[EpochRow, ...]
    state: State = "done"
    error: str | None = None
    pair: str | None = None
    model: str | None = None
    dataset: str | None = None
    strategy: str | None = None
    seed: int | None = None
    ranks: int | None = None
    global_batch: int | None = None
    stage_s: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    remarks: tuple[str, ...] = ()
    metric: str = "top1"  # what val_acc1 is


def refuse(place: str, what: str, *, do: str) -> ResultsError:
    """The error for a file that is not in the format that was named."""
    return ResultsError(f"{place}: {what}", hint=do)


def number(text: str, place: str, *, column: str) -> float:
    """A finite number; raises ResultsError where there is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise refuse(
            place, f"{column}: must be a finite number, got {text!r}", do="mend the line, or leave the value empty"
        )
    return value


def is_not_finite(text: str) -> bool:
    """Whether a cell says NaN or infinite, as those of a diverged run do: then the value is unknown."""
    return text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity")


def diverged(n: int, column: str) -> str:
    """The remark on values of a column that are no finite numbers."""
    return f"{column}: {n} value{'s' * (n > 1)} NaN or infinite, read as unknown"


def reading(name: str, values: Sequence[float], *, percent: bool) -> str:
    """The remark on how accuracies were read that may be percent or fractions."""
    largest = max(values)
    if percent:
        return f"{name} was read as percent: " + ("a value is above 1" if largest > 1 else "--percent says so")
    return f"{name} was read as fractions: no value is above 1, the largest is {largest:g}; --percent if it is percent"


def whole(text: str, place: str, *, column: str) -> int:
    """A whole number from 0; raises ResultsError where there is none."""
    value = number(text, place, column=column)
    if not 0 <= value < INT64 or value != int(value):
        raise refuse(place, f"{column}: must be a whole number from 0, got {text!r}", do="mend the line")
    return int(value)


def fraction(text: str, place: str, *, column: str) -> float:
    """A number in [0, 1]; raises ResultsError where there is none."""
    value = number(text, place, column=column)
    if not 0 <= value <= 1:
        raise refuse(place, f"{column}: must be in [0, 1], got {text}", do="divide percent by 100")
    return value


def read_lines(path: Path, *, errors: Literal["strict", "replace"] = "strict") -> list[str]:
    """The lines of a text file; raises ResultsError when it is empty or, where ``errors`` is strict, no text."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors)
    except OSError as error:
        raise refuse(str(path), f"cannot be read: {reason(error)}", do="name a file that is there") from error
    except UnicodeDecodeError as error:
        raise refuse(str(path), "is no text in UTF-8", do="name the format that it is in") from error
    if not text.strip():
        raise refuse(str(path), "is empty", do="leave it out")
    return text.splitlines()


def check_distinct(path: Path, head: Sequence[str]) -> None:
    """Raise ResultsError where two columns of a CSV file have one name."""
    twice = sorted({name for name in head if head.count(name) > 1})
    if twice:
        raise refuse(f"{path}:1", f"two columns are named {twice[0]!r}", do="rename or remove one of them")


def table_rows(path: Path, head: Sequence[str], rows: Sequence[list[str]]) -> list[tuple[int, list[str]]]:
    """The lines of values of a CSV file, with their numbers, held against its header; raises ResultsError."""
    for n, row in enumerate(rows, start=2):
        if len(row) != len(head):
            what = f"must have {len(head)} fields as the header has, got {len(row)}"
            raise refuse(f"{path}:{n}", what, do="the line is torn; remove it")
    if not rows:
        raise refuse(str(path), "has a header and no line of values", do="leave it out, or export it again")
    return list(enumerate(rows, start=2))


def checked(row: dict[str, Cell], place: str) -> EpochRow:
    """The row, held against the columns of an epoch; raises ResultsError with the place."""
    known = {name: value for name, value in row.items() if value is not None}
    try:
        ImportedEpoch.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        column = first["loc"][0] if first["loc"] else "row"
        raise refuse(
            place, f"{column}: {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}", do="mend the line"
        ) from error
    large = next((name for name, value in known.items() if isinstance(value, int) and abs(value) >= INT64), None)
    if large:
        raise refuse(place, f"{large}: does not fit 64 bits, got {str(known[large])[:40]}", do="mend the line")
    return known


def with_elapsed(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """Add the running sum of ``train_s`` [s], as far as every term of it is known."""
    total: float | None = 0.0
    for row in rows:
        spent = row.get("train_s")
        total = None if total is None or not isinstance(spent, int | float) else total + spent
        if row.get("elapsed_s") is None and total is not None:
            row["elapsed_s"] = total
    return list(rows)


def mark_interrupted(logs: Sequence[Log], planned: int | None) -> list[Log]:
    """Mark the runs whose log ends before ``planned`` epochs; without it, before the longest of their file.

    Numbers of a run that others outlived are no final numbers, and nothing says that it was to end there.
    """
    longest: dict[Path, int] = {}
    for log in logs:
        longest[log.files[0]] = max(_n_epochs(log), longest.get(log.files[0], 0))
    return [_marked(log, planned or longest[log.files[0]]) for log in logs]


def _marked(log: Log, planned: int) -> Log:
    n = _n_epochs(log)
    if log.state != "done" or n >= planned:
        return log
    return replace(log, state="interrupted", error=f"its log ends after {n} of {planned} epochs")


def _n_epochs(log: Log) -> int:
    """Epochs of the last phase."""
    last = log.epochs[-1].get("phase")
    return sum(row.get("phase") == last for row in log.epochs)
