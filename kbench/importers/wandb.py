"""Import from a chart of Weights & Biases exported as CSV: epochs down, a column per run, named "RUN - METRIC"."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kbench.importers.log import (
    Log,
    check_distinct,
    checked,
    diverged,
    is_not_finite,
    number,
    read_lines,
    reading,
    refuse,
    table_rows,
    whole,
)
from kbench.importers.metrics import ACCURACIES, column_of, from_percent, in_percent
from kbench.importers.registry import ImportFormat
from kbench.records.imported import Cell

MARK = " - "
SPREAD = ("__MIN", "__MAX")  # what the site adds to each column of a chart


@dataclass(frozen=True)
class Column:
    """One run's values of one metric, with the line and the epoch of each."""

    run: str
    metric: str
    values: tuple[tuple[int, int, float | None], ...]  # line, epoch, value; None: NaN or infinite


def read(paths: Sequence[Path], *, percent: bool = False) -> list[Log]:
    """Read the runs of each file; a run that is in several files is one run.

    The first column counts epochs: ``epoch``, or ``Step`` if its steps follow one another.  A
    column's empty tail means that the run had ended.  Accuracies above 1 are percent, for all
    runs of that metric in that file, and so are all with ``percent``.
    Raises ResultsError, with file and line, for anything else.
    """
    runs: dict[str, dict[int, dict[str, Cell]]] = {}
    files: dict[str, list[Path]] = {}
    remarks: dict[str, list[str]] = {}
    for path in paths:
        for column in _usable(list(_columns(path)), path, remarks, all_percent=percent):
            rows = runs.setdefault(column.run, {})
            _merge(rows, column, path)
            if path not in files.setdefault(column.run, []):
                files[column.run].append(path)
    return [_log(run, rows, files[run], remarks.get(run, [])) for run, rows in runs.items()]


def _log(run: str, rows: dict[int, dict[str, Cell]], files: list[Path], remarks: list[str]) -> Log:
    place = f"{files[0]}: {run}"
    epochs = [checked({"phase": "train", "epoch": epoch, **rows[epoch]}, place) for epoch in sorted(rows)]
    return Log(run=run, files=tuple(files), epochs=tuple(epochs), remarks=tuple(remarks))


def _merge(rows: dict[int, dict[str, Cell]], column: Column, path: Path) -> None:
    name = str(column_of(column.metric))
    for line, epoch, value in column.values:
        row = rows.setdefault(epoch, {})
        if row.setdefault(name, value) != value:
            raise refuse(
                f"{path}:{line}",
                f"{column.run}: epoch {epoch} has two values of {name}, {row[name]} and {value}",
                do="import one of them",
            )


def _usable(columns: list[Column], path: Path, remarks: dict[str, list[str]], *, all_percent: bool) -> Iterator[Column]:
    """The columns that kbench knows, accuracies as fractions; what others hold is remarked on, not guessed."""
    percent: dict[str, bool] = {}
    for column in columns:
        above = in_percent((value for _, _, value in column.values if value is not None), percent=all_percent)
        percent[column.metric] = percent.get(column.metric, False) or above
    metrics = {column.metric for column in columns}
    if not any(column_of(metric) for metric in metrics):
        raise refuse(
            str(path),
            f"no metric that kbench has a column for, got {', '.join(sorted(metrics))}",
            do="rename the columns to RUN - val_acc1, val_acc5, val_loss, train_loss, train_acc or lr",
        )
    for column in columns:
        name = column_of(column.metric)
        if name is None:
            remarks.setdefault(column.run, []).append(f"{column.metric} was left out: kbench has no column for it")
        elif name in ACCURACIES and percent[column.metric]:
            values = tuple(
                (n, epoch, None if value is None else from_percent(value)) for n, epoch, value in column.values
            )
            yield Column(column.run, column.metric, values)
        else:
            yield column
        known = [value for _, _, value in column.values if value is not None]
        own = remarks.setdefault(column.run, [])
        if name in ACCURACIES and known:
            every = [v for each in columns if each.metric == column.metric for _, _, v in each.values if v is not None]
            own.append(reading(f"{path}: {column.metric}", every, percent=percent[column.metric]))
        if len(known) < len(column.values):
            own.append(diverged(len(column.values) - len(known), f"{column.run}{MARK}{column.metric}"))


def _columns(path: Path) -> Iterator[Column]:
    head, *lines = csv.reader(read_lines(path))
    counts = head[0].strip().lower() if head else ""
    if counts not in ("epoch", "step"):
        raise refuse(
            f"{path}:1",
            f"the first column must be epoch or Step, got {head[0]!r}" if head else "has no header",
            do="export the chart with epochs on the x axis; other tables go in with the format csv",
        )
    if len(head) < 2:
        raise refuse(f"{path}:1", "has no column of a run", do="export the chart with its runs")
    check_distinct(path, head)
    rows = [(n, whole(row[0], f"{path}:{n}", column=head[0]), row) for n, row in table_rows(path, head, lines)]
    for place in range(1, len(head)):
        if head[place].endswith(SPREAD):
            continue
        run, mark, metric = head[place].rpartition(MARK)
        if not mark or not run.strip():
            raise refuse(
                f"{path}:1", f"column {place + 1} must be named RUN - METRIC, got {head[place]!r}", do="rename it"
            )
        values = [
            (n, epoch, None if is_not_finite(row[place]) else number(row[place], f"{path}:{n}", column=head[place]))
            for n, epoch, row in rows
            if row[place].strip()
        ]
        if values:
            _check_epochs(path, values, counts=head[0])
            yield Column(run.strip(), metric.strip(), tuple(values))


def _check_epochs(path: Path, values: Sequence[tuple[int, int, float | None]], *, counts: str) -> None:
    for (_, before, _), (line, epoch, _) in zip(values, values[1:], strict=False):
        if epoch <= before:
            raise refuse(f"{path}:{line}", f"{counts}: must increase, got {epoch} after {before}", do="sort the lines")
        if counts.lower() == "step" and epoch != before + 1:
            raise refuse(
                f"{path}:{line}",
                f"Step: goes from {before} to {epoch}, so that it counts something else than epochs",
                do="export the chart with epoch on the x axis",
            )


WANDB_CSV = ImportFormat(
    "a chart of Weights & Biases exported as CSV, a column per run", read, may_be_percent=True, equal_lengths=True
)
