"""Import from the tables that training libraries write, a file per run: timm, Lightning, Keras.

timm's summary.csv has a line per epoch; Lightning's metrics.csv has training and validation on lines of their own, and
of what is logged at steps the last line of an epoch counts; Keras' CSVLogger calls the training set's ``accuracy`` and
``loss`` so.  Columns that kbench has none for are left out, and named.
"""

import csv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from kbench.importers.log import (  # fmt: skip
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

ColumnOf = Callable[[str], str | None]
COUNTERS = ("epoch", "step")  # of Lightning; a step says nothing of an epoch
OF_KERAS = {"accuracy": "train_acc", "acc": "train_acc", "loss": "train_loss"}


def _of_keras(name: str) -> str | None:
    return OF_KERAS.get(name) or column_of(name)


def _of_lightning(name: str) -> str | None:
    return column_of(name.removesuffix("_epoch"))


def read(
    paths: Sequence[Path], *, name: str, known: ColumnOf, merges: bool = False, percent: bool = False
) -> list[Log]:
    """Read the run of each file; raises ResultsError, with file and line, for what is no such table.

    Args:
        paths: Files, or folders in which files called ``name`` are looked for.
        name: How the library calls its file.
        known: kbench's column for one of the library's; None without one.
        merges: Whether several lines tell of one epoch.
        percent: Whether accuracies are percent, also where none is above 1.
    """
    found = [file for path in paths for file in (sorted(path.rglob(name)) if path.is_dir() else [path])]
    if not found:
        raise refuse(str(paths[0]), f"holds no {name}", do="name the files")
    return [_log(path, name, known, merges=merges, percent=percent) for path in found]


def _log(path: Path, name: str, known: ColumnOf, *, merges: bool, percent: bool) -> Log:
    text = read_lines(path)
    head, *lines = csv.reader(text, delimiter=";" if ";" in text[0] and "," not in text[0] else ",")
    head = [cell.strip() for cell in head]
    check_distinct(path, head)
    if "epoch" not in head:
        raise refuse(
            f"{path}:1", f"has no column epoch, got {', '.join(head)[:80]}", do="name the format that it is in"
        )
    columns = {place: known(cell) for place, cell in enumerate(head) if cell not in COUNTERS}
    used = {place: column for place, column in columns.items() if column}
    if not used:
        raise refuse(f"{path}:1", f"no column that kbench has one for, got {', '.join(head)[:80]}", do="rename them")
    if len(set(used.values())) < len(used):
        raise refuse(f"{path}:1", f"two columns are {_twice(used)}, of {', '.join(head)[:80]}", do="remove one of them")
    rows = _rows(path, head, table_rows(path, head, lines), used, merges=merges)
    remarks = [
        f"{path}: {head[place]} was left out: kbench has no column for it" for place in columns if place not in used
    ]
    for place, column in used.items():
        n_odd = sum(is_not_finite(line[place]) for line in lines)
        remarks += [diverged(n_odd, f"{path}: {head[place]}")] if n_odd else []
        values = [float(str(row[column])) for row in rows if row.get(column) is not None]
        if column in ACCURACIES and values:
            in_hundred = in_percent(values, percent=percent)
            remarks.append(reading(f"{path}: {head[place]}", values, percent=in_hundred))
            for row in rows:
                if in_hundred and row.get(column) is not None:
                    row[column] = from_percent(float(str(row[column])))
    epochs = tuple(checked(row, f"{path}: epoch {row['epoch']}") for row in rows)
    run = path.absolute().parent.name if path.name == name else path.stem
    return Log(run=run, files=(path,), epochs=epochs, remarks=tuple(remarks))


def _rows(
    path: Path, head: Sequence[str], lines: Sequence[tuple[int, list[str]]], used: dict[int, str], *, merges: bool
) -> list[dict[str, Cell]]:
    rows: dict[int, dict[str, Cell]] = {}
    for n, line in lines:
        epoch, last = whole(line[head.index("epoch")], f"{path}:{n}", column="epoch"), max(rows, default=-1)
        if epoch < last or (epoch == last and not merges):
            what = f"epoch: {epoch} comes after {last}, as of a run that was started again into the same file"
            raise refuse(f"{path}:{n}", what, do="split the file, or remove what was trained again")
        row = rows.setdefault(epoch, {"phase": "train", "epoch": epoch})
        for place, column in used.items():
            cell = line[place].strip()
            if is_not_finite(cell):
                row[column] = None
            elif cell:
                row[column] = number(cell, f"{path}:{n}", column=head[place])
    return list(rows.values())


def _twice(used: dict[int, str]) -> str:
    columns = list(used.values())
    return next(column for column in columns if columns.count(column) > 1)


TIMM_CSV = ImportFormat(
    "timm's summary.csv, a run each", partial(read, name="summary.csv", known=column_of), may_be_percent=True
)
LIGHTNING_CSV = ImportFormat(
    "Lightning's metrics.csv, a run each",
    partial(read, name="metrics.csv", known=_of_lightning, merges=True),
    may_be_percent=True,
)
KERAS_CSV = ImportFormat(
    "what Keras' CSVLogger writes, a run each", partial(read, name="*.csv", known=_of_keras), may_be_percent=True
)
