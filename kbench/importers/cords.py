"""Import from logs of CORDS' trainings, as GradMatch and the KAKURENBO authors' port of it write them.

Each epoch has a line ``Epoch: N , Training Loss: ... , Test Accuracy: ... , Timing: ...``; epoch 0 is the network
before any training, Timing is the sum of seconds of training so far.  A line with nothing but a number behind it is
the share that KAKURENBO hid in that epoch.  Source: github TruongThaoNguyen/kakurenbo
@6cb9f88, GradMatch/cords.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from kbench.importers.log import (  # fmt: skip
    Log,
    checked,
    diverged,
    fraction,
    is_not_finite,
    number,
    read_lines,
    refuse,
    with_elapsed,
)
from kbench.importers.registry import ImportFormat
from kbench.records.imported import Cell

EPOCH = re.compile(r"(?:^|INFO: )Epoch: (\d{1,9}) , (.*)$")
SHARE = re.compile(r"INFO: ([0-9.]+)$")
LEFT_OUT = {  # what a line tells besides, and why kbench has no column for it
    "Training Loss": "its scale is not that of a mean over samples",
    "Validation Loss": "its scale is not that of a mean over samples",
    "Test Loss": "its scale is not that of a mean over samples",
    "Training Accuracy": "it is of a pass over all samples after the epoch",
    "Validation Accuracy": "Test Accuracy is what is published",
    "Best Accuracy": "it follows from Test Accuracy",
}
Rows = dict[int, dict[str, Cell]]


def read(paths: Sequence[Path]) -> list[Log]:
    """Read the run of each file; in folders, of each .log file.  Raises ResultsError, with file and line."""
    found = [file for path in paths for file in (sorted(path.rglob("*.log")) if path.is_dir() else [path])]
    if not found:
        raise refuse(str(paths[0]), "holds no .log", do="name the files")
    return [_log(path) for path in found]


def _log(path: Path) -> Log:
    rows, left, n_odd, n_other = _rows(path)
    spent = rows.pop(0, {}).pop("timing", 0.0)
    if not rows:
        raise refuse(str(path), "tells of no epoch of training", do="leave it out, or name the format that it is in")
    for epoch, row in rows.items():
        timing = row.pop("timing", None)
        if isinstance(timing, float) and isinstance(spent, float):
            if timing <= spent:
                raise refuse(str(path), f"Timing: must grow, got {timing:g} s at epoch {epoch}", do="split the file")
            row["train_s"] = timing - spent
        spent = timing
    remarks = [f"{path}: {name} was left out: {LEFT_OUT.get(name, 'kbench has no column for it')}" for name in left]
    remarks += [f"{path}: epoch 0, before any training, was left out; epochs count from 0 here, from 1 there"]
    remarks += [f"{path}: {n_other} other lines were left out"] * bool(n_other)
    remarks += [diverged(n_odd, str(path))] * bool(n_odd)
    epochs = [
        checked(row, f"{path}: epoch {row['epoch']}")
        for row in with_elapsed([{"phase": "train", "epoch": n - 1, **row} for n, row in rows.items()])
    ]
    return Log(run=path.stem, files=(path,), epochs=tuple(epochs), remarks=tuple(remarks))


def _rows(path: Path) -> tuple[Rows, list[str], int, int]:
    """What each epoch's lines tell, what was left out of them, how many cells are NaN, and how many other lines are."""
    rows: Rows = {}
    left: dict[str, None] = {}
    n_odd = n_other = 0
    for n, line in enumerate(read_lines(path), start=1):
        place = f"{path}:{n}"
        if found := EPOCH.search(line.rstrip()):
            epoch, last = int(found[1]), max(rows, default=None)
            if last is not None and epoch != last + 1:
                raise refuse(place, f"epoch {epoch} comes after {last}", do="split the file, a run each")
            row = rows[epoch] = {}
            for cell in found[2].split(" , "):
                name, _, text = cell.partition(": ")
                if is_not_finite(text):
                    n_odd += 1
                elif name == "Test Accuracy":
                    row["val_acc1"] = fraction(text, place, column=name)
                elif name == "Timing":
                    row["timing"] = number(text, place, column=name)
                else:
                    left[name] = None
        elif (found := SHARE.search(line.rstrip())) and rows:
            rows[max(rows)]["hidden_share"] = fraction(found[1], place, column="share")
        else:
            n_other += bool(line.strip())
    return rows, list(left), n_odd, n_other


CORDS_LOG = ImportFormat("logs of CORDS' trainings (GradMatch, and KAKURENBO beside it)", read)
