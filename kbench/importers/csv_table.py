"""Import from a plain table: CSV whose columns are named as those of epochs.parquet, any of them left out.

Needed are ``epoch`` and one column that says something of it.  ``pair``, ``strategy`` and ``seed``
tell several runs of a file apart.  ``experiment``, ``run_id``, ``match_key`` and ``attempt`` are read over, as an
imported run gets its own.  An empty field is unknown; ``val_acc_classes`` is a list as in JSON.
"""

import csv
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from kbench.config.parse import did_you_mean
from kbench.importers.log import (
    Log,
    check_distinct,
    checked,
    diverged,
    fraction,
    is_not_finite,
    number,
    read_lines,
    refuse,
    table_rows,
    whole,
    with_elapsed,
)
from kbench.importers.metrics import ACCURACIES
from kbench.importers.registry import ImportFormat
from kbench.records import journal
from kbench.records.imported import Cell
from kbench.records.migrations import RENAMED_IN_2
from kbench.records.schema import EpochRecord, Identity, columns

FORMER_NAMES = RENAMED_IN_2[journal.NAME]  # columns that kbench export csv once wrote
TYPES = {column.name: column.type for column in columns(Identity, EpochRecord)}
BY_CLASS = "val_acc_classes"
IDENTITY = ("pair", "model", "dataset", "strategy", "seed", "ranks")
IGNORED = ("experiment", "run_id", "match_key", "attempt")  # an imported run gets its own


def read(paths: Sequence[Path]) -> list[Log]:
    """Read the runs of each file; raises ResultsError, with file and line, for what is no such table."""
    return [log for path in paths for log in _runs(path)]


def _runs(path: Path) -> list[Log]:
    first, *rows = csv.reader(read_lines(path))
    head = [FORMER_NAMES.get(name.strip(), name.strip()) for name in first]
    _check_head(path, head)
    found: dict[tuple[Cell, ...], list[dict[str, Cell]]] = {}
    for n, fields in table_rows(path, head, rows):
        row = {name: _cell(text.strip(), name, f"{path}:{n}") for name, text in zip(head, fields, strict=True)}
        if row["epoch"] is None:
            raise refuse(f"{path}:{n}", "epoch: must be a whole number from 0, got nothing", do="mend the line")
        row.setdefault("phase", "train")
        found.setdefault(tuple(row.get(name) for name in IDENTITY), []).append(row | {"line": n})
    odd = {name: sum(is_not_finite(fields[i]) for fields in rows) for i, name in enumerate(head)}
    remarks = tuple(diverged(n, f"{path}: {name}") for name, n in odd.items() if n)
    return [_log(path, dict(zip(IDENTITY, values, strict=True)), rows, remarks) for values, rows in found.items()]


def _log(path: Path, identity: dict[str, Cell], rows: list[dict[str, Cell]], remarks: tuple[str, ...]) -> Log:
    for key in (*IDENTITY, *IGNORED):
        for row in rows:
            row.pop(key, None)
    _check_epochs(path, rows)
    epochs = tuple(checked(row, f"{path}:{row.pop('line')}") for row in with_elapsed(rows))
    seed, ranks = identity["seed"], identity["ranks"]
    pair, model, dataset, strategy = (_text(identity[key]) for key in ("pair", "model", "dataset", "strategy"))
    named = [text for text in (pair, strategy, None if seed is None else f"s{seed}") if text]
    return Log(
        run=".".join(named) or path.stem,
        files=(path,),
        epochs=epochs,
        pair=pair,
        model=model,
        dataset=dataset,
        strategy=strategy,
        seed=seed if isinstance(seed, int) else None,
        ranks=ranks if isinstance(ranks, int) else None,
        remarks=remarks,
    )


def _text(cell: Cell) -> str | None:
    return None if cell is None else str(cell)


def _cell(text: str, name: str, place: str) -> Cell:
    if not text:
        return None
    kind = TYPES[name]
    if kind is float and is_not_finite(text):
        return None
    if name == BY_CLASS:
        return _by_class(text, place)
    if name in ACCURACIES:
        return fraction(text, place, column=name)
    if kind is int:
        return whole(text, place, column=name)
    if kind is float:
        return number(text, place, column=name)
    if kind is datetime:
        _check_time(text, name, place)
    return text


def _by_class(text: str, place: str) -> tuple[float | None, ...]:
    """The accuracies of the classes, as ``kbench export csv`` writes them; raises ResultsError with the place."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise refuse(place, f"{BY_CLASS}: must be a list ([0.9, 0.8]), got {text[:40]!r}", do="mend the line")
    return tuple(None if each is None else fraction(str(each), place, column=BY_CLASS) for each in found)


def _check_time(text: str, name: str, place: str) -> None:
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise refuse(
            place, f"{name}: must be a time with its zone (2025-01-31T12:00:00+00:00), got {text!r}", do="mend the line"
        )


def _check_head(path: Path, head: list[str]) -> None:
    for name in head:
        if name not in TYPES:
            raise refuse(f"{path}:1", f"unknown column {name!r}{did_you_mean(name, TYPES)}", do="rename or remove it")
    check_distinct(path, head)
    if "epoch" not in head:
        raise refuse(f"{path}:1", f"has no column epoch, got {', '.join(head)}", do="add it: 0, 1, 2, ...")
    if not set(head) - {"epoch", "phase", *IDENTITY, *IGNORED}:
        raise refuse(f"{path}:1", "no column says anything of an epoch", do="add val_acc1, train_s or another one")


def _check_epochs(path: Path, rows: list[dict[str, Cell]]) -> None:
    """Within a phase epochs increase, and a phase is not taken up again."""
    seen: dict[Cell, int] = {}
    last: Cell = None
    for row in rows:
        phase, epoch, place = row["phase"], int(str(row["epoch"])), f"{path}:{row['line']}"
        if phase in seen and (phase != last or epoch <= seen[phase]):
            raise refuse(
                place,
                f"epoch: {epoch} of phase {phase} comes after {seen[phase]}"
                + (f" and phase {last}" if phase != last else ""),
                do="sort the lines by run, phase and epoch; runs are told apart by pair, strategy and seed",
            )
        seen[phase], last = epoch, phase


CSV = ImportFormat("a table with the columns of epochs.parquet, any of them left out", read)
