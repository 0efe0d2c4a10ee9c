"""Published tables held against the logs that they were made from: supported, contradicted, or undecided."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from kbench.analysis.frame import Frames
from kbench.papers.model import Cell, Publication, Table

Verdict = Literal["supported", "contradicted", "undecided"]
ACCURACIES = ("best_acc", "final_acc", "acc")
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
REST = 0.05  # of a total time that may lie outside the epochs: start-up, validation


@dataclass(frozen=True)
class Told:
    """What the log of one run says of a cell, in the cell's unit."""

    strategy: str  # the run's label
    last: float | None
    best: float | None = None
    short: str = ""  # why the log cannot decide


@dataclass(frozen=True)
class Judged:
    """A cell of a published table, and what the logs make of it."""

    publication: Publication
    table: Table
    cell: Cell
    logs: tuple[Told, ...]  # those taken to be behind it
    verdict: Verdict
    why: str
    equal: str = ""  # another run whose value the cell prints

    @property
    def value(self) -> float:
        """The log's value where it supports the cell, else the printed one."""
        own = [log.last for log in self.logs if log.last is not None and self.cell.is_printed_as(log.last)]
        return own[0] if own and self.verdict == "supported" else self.cell.number


def held(frames: Frames, shelf: Sequence[Publication]) -> list[Judged]:
    """Judge every cell of each table that an imported log is about.

    A run is taken for the log behind a cell by its names: the pair is the publication's, the
    strategy the cell's or one that stands for it.  A cell is supported when its log rounds to it.
    """
    theirs = frames.runs[frames.runs["imported_from"].notna()]
    found = []
    for publication in shelf:
        for table in (table for table in publication.tables if not table.log):
            runs = theirs[theirs["pair"] == table.pair]
            every = [_told(run, _trained(frames, run), table, publication) for _, run in runs.iterrows()]
            judged = [_judged(publication, table, cell, every) for cell in table.cells]
            if any(log.last is not None for one in judged for log in one.logs):
                found += judged
    return found


def _trained(frames: Frames, run: "pd.Series[Any]") -> pd.DataFrame:
    """The epochs of the run's last phase."""
    rows = frames.epochs[frames.epochs["run_id"] == run["run_id"]]
    last: pd.DataFrame = rows[rows["phase"] == rows["phase"].iloc[-1]] if len(rows) else rows
    return last


def _told(run: "pd.Series[Any]", rows: pd.DataFrame, table: Table, publication: Publication) -> Told:
    last, best, short = None, None, ""
    planned = publication.workloads[table.pair].epochs
    if run["state"] != "done":
        short = str(run["error"])
    elif planned is not None and len(rows) < planned:
        short = f"its log has {len(rows)} of {planned} epochs"
    if table.quantity in ACCURACIES:
        last, best = _known(run["final_acc1"], 100), _known(run["best_acc1"], 100)
    elif table.quantity == "time":
        last = _known(run["total_train_s"], 1 / SECONDS[table.unit])
    elif table.quantity == "loss" and len(rows):
        last = _known(rows["train_loss"].iloc[-1])
    elif table.quantity == "hidden":
        last = _known(run["hidden_mean"], 100)
    if last is None and not short:
        short = f"its log does not tell the {table.quantity}"
    return Told(str(run["strategy"]), last, best, short)


def _known(value: object, scale: float = 1) -> float | None:
    return None if value is None or pd.isna(value) else scale * float(value)  # type: ignore[call-overload, arg-type]


def _judged(publication: Publication, table: Table, cell: Cell, every: Sequence[Told]) -> Judged:
    own = [log for log in every if cell.strategy in (log.strategy, publication.meant_by(log.strategy))]
    own.sort(key=lambda log: log.strategy != cell.strategy)  # the one of that very name first
    verdict, why, equal = _verdict(table, cell, own, [log for log in every if log not in own])
    return Judged(publication, table, cell, tuple(own), verdict, why, equal)


def _verdict(table: Table, cell: Cell, own: Sequence[Told], others: Sequence[Told]) -> tuple[Verdict, str, str]:
    """The verdict, why, and the run of another strategy whose value the cell prints."""
    if not own:
        return "undecided", "no log of it", ""
    whole = [log for log in own if not log.short]
    for log in whole:
        for name, value in (("last", log.last), ("best", log.best)):
            if value is not None and cell.is_printed_as(value):
                epoch = f"{name} epoch" if table.quantity in ACCURACIES else "log"
                return "supported", f"equals {log.strategy}'s {epoch}", ""
    if whole and table.quantity == "time":
        return (*_timed(table, cell, whole[0]), "")
    if not whole:
        return "undecided", own[0].short, ""
    equal = next((log.strategy for log in others if log.last is not None and cell.is_printed_as(log.last)), "")
    return "contradicted", f"equals {equal}'s last epoch" if equal else "equals no run's", equal


def _timed(table: Table, cell: Cell, log: Told) -> tuple[Verdict, str]:
    """A total may hold more than the epochs of the log, never less."""
    spent = log.last or 0.0
    if spent > cell.number and not cell.is_printed_as(spent):
        return "contradicted", f"{log.strategy}'s epochs alone take {spent:.1f} {table.unit}"
    said = f"{log.strategy}'s epochs sum up to {100 * spent / cell.number:.1f} % of it"
    return ("supported" if spent >= (1 - REST) * cell.number else "undecided"), said
