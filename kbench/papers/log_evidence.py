"""Published tables held against the imported logs that they rest on: supported, contradicted or undecided."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from kbench.analysis.finding import Finding, note, warning
from kbench.analysis.frame import Frames
from kbench.papers.publications import Cell, Publication, Table, caveats, table_title

Verdict = Literal["supported", "contradicted", "undecided"]
ACCURACIES = ("best_acc", "final_acc", "acc")
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
OUTSIDE_EPOCHS = 0.05  # of a total time that may lie outside the epochs: start-up, validation


@dataclass(frozen=True)
class LogValue:
    """What the log of one run holds about a cell, in the cell's unit."""

    strategy: str  # the run's label
    last: float | None
    best: float | None = None
    short: str = ""  # why the log cannot decide


@dataclass(frozen=True)
class JudgedCell:
    """A cell of a published table, and the verdict of the logs on it."""

    publication: Publication
    table: Table
    cell: Cell
    logs: tuple[LogValue, ...]  # those taken to be behind it
    verdict: Verdict
    why: str
    equal: str = ""  # another run whose value the cell prints

    @property
    def value(self) -> float:
        """The log's value where it supports the cell, else the printed one."""
        own = [log.last for log in self.logs if log.last is not None and self.cell.is_printed_as(log.last)]
        return own[0] if own and self.verdict == "supported" else self.cell.number


def judge_cells(frames: Frames, publications: Sequence[Publication]) -> list[JudgedCell]:
    """Judge every cell of each table that an imported log is about.

    A run is taken for the log behind a cell by its names: the pair is the publication's, the
    strategy the cell's or one that stands for it.  A cell is supported when its log rounds to it.
    """
    imported = frames.runs[frames.runs["imported_from"].notna()]
    found = []
    for publication in publications:
        for table in (table for table in publication.tables if not table.log):
            runs = imported[imported["pair"] == table.pair]
            values = [_log_value(run, _last_epochs(frames, run), table, publication) for _, run in runs.iterrows()]
            judged = [_judged(publication, table, cell, values) for cell in table.cells]
            if any(log.last is not None for one in judged for log in one.logs):
                found += judged
    return found


def _last_epochs(frames: Frames, run: "pd.Series[Any]") -> pd.DataFrame:
    """The epochs of the run's last phase."""
    rows = frames.epochs[frames.epochs["run_id"] == run["run_id"]]
    last: pd.DataFrame = rows[rows["phase"] == rows["phase"].iloc[-1]] if len(rows) else rows
    return last


def _log_value(run: "pd.Series[Any]", rows: pd.DataFrame, table: Table, publication: Publication) -> LogValue:
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
    return LogValue(str(run["strategy"]), last, best, short)


def _known(value: object, scale: float = 1) -> float | None:
    return None if value is None or pd.isna(value) else scale * float(value)  # type: ignore[call-overload, arg-type]


def _judged(publication: Publication, table: Table, cell: Cell, values: Sequence[LogValue]) -> JudgedCell:
    own = [log for log in values if cell.strategy in (log.strategy, publication.name_in_tables(log.strategy))]
    own.sort(key=lambda log: log.strategy != cell.strategy)  # the one of that very name first
    verdict, why, equal = _verdict(table, cell, own, [log for log in values if log not in own])
    return JudgedCell(publication, table, cell, tuple(own), verdict, why, equal)


def _verdict(table: Table, cell: Cell, own: Sequence[LogValue], others: Sequence[LogValue]) -> tuple[Verdict, str, str]:
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


def _timed(table: Table, cell: Cell, log: LogValue) -> tuple[Verdict, str]:
    """The verdict on a total time, which may hold more than the epochs of the log, never less."""
    spent = log.last or 0.0
    if spent > cell.number and not cell.is_printed_as(spent):
        return "contradicted", f"{log.strategy}'s epochs alone take {spent:.1f} {table.unit}"
    text = f"{log.strategy}'s epochs sum up to {100 * spent / cell.number:.1f} % of it"
    return ("supported" if spent >= (1 - OUTSIDE_EPOCHS) * cell.number else "undecided"), text


def evidence_findings(frames: Frames, judged: Sequence[JudgedCell]) -> Iterator[Finding]:
    """Contradicted cells and what follows from them, methods that hid no sample, misprints, caveats."""
    for one in judged:
        if one.verdict == "contradicted":
            yield warning("published", _contradiction(one))
            yield from _corrected(one, [other for other in judged if other.table is one.table])
    yield from _hid_nothing(frames)
    texts = [caveat for one in judged for caveat in caveats(one.publication, one.table)]
    for text in dict.fromkeys([*texts, *_origins(judged)]):
        yield note("published", text)


def _contradiction(one: JudgedCell) -> str:
    runs = [f"{log.strategy}'s run ({log.last:.{one.cell.digits}f})" for log in one.logs if log.last is not None]
    kind = "last accuracy" if one.table.quantity in ACCURACIES else one.table.quantity
    text = f"the printed {one.cell.strategy}, {one.cell.value}, is not the {kind} of {', nor of '.join(runs)}"
    equal = f", but equals that of {one.equal}'s run" if one.equal else ""
    return f"{table_title(one.publication, one.table)}: {text}{equal}"


def _corrected(one: JudgedCell, row: Sequence[JudgedCell]) -> Iterator[Finding]:
    """The differences of a table whose baseline is not the baseline run's, against what that run logged."""
    if one.cell is not one.table.baseline(one.cell.at) or one.table.quantity not in ACCURACIES:
        return
    base = next((log.last for log in one.logs if log.strategy == one.cell.strategy and not log.short), None)
    if base is None:
        return
    digits, corrected = one.cell.digits, []
    for other in row:
        if other.cell is not one.cell and other.cell.at == one.cell.at:
            printed = f", not {other.cell.diff}" if other.cell.diff else ""
            source = "" if other.verdict == "supported" else " (from its printed value)"
            corrected.append(f"{other.cell.strategy}'s is {other.value - base:+.{digits}f}{printed}{source}")
    if corrected:
        yield warning(
            "published",
            f"{table_title(one.publication, one.table)}: with the baseline run's {base:.{digits}f} the differences "
            f"change: {'; '.join(corrected)}",
        )


def _hid_nothing(frames: Frames) -> Iterator[Finding]:
    """Imported methods whose logs say that they hid no sample in any epoch."""
    hidden_none = frames.runs[frames.runs["imported_from"].notna() & (frames.runs["hidden_mean"] == 0)]
    for _, run in hidden_none[~hidden_none["strategy"].astype(str).str.startswith("baseline")].iterrows():
        n_known = int(frames.epochs[frames.epochs["run_id"] == run["run_id"]]["n_hidden"].notna().sum())
        spent = run["total_train_s"]
        time = "" if pd.isna(spent) else f"; it took {spent / 60:.0f} minutes"
        yield warning(
            "published",
            f"{run['pair']} / {run['strategy']}: by its log it hid nothing ({n_known} of {run['epochs_done']:.0f} "
            f"epochs tell), and trained as a baseline does{time}",
        )


def _origins(judged: Sequence[JudgedCell]) -> Iterator[str]:
    """How the runs are known to be what they are taken for, where their names do not tell."""
    for one in judged:
        for known in one.publication.logs:
            if known.about and known.strategy in [log.strategy for log in one.logs]:
                yield f"{one.publication.id}: the log of {known.strategy}: {known.about}"
