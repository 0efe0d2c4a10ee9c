"""Measured numbers beside published ones: within, outside, or not comparable and why."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from kbench.analysis.frame import Frames
from kbench.analysis.interval import FEWEST, Bounds, mean_and_interval
from kbench.analysis.rows import Comparison, Row
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.papers.caveats import caveats
from kbench.papers.comparable import ACCURACIES, Case, is_same, of_number, of_recipe
from kbench.papers.model import Publication, Table

Verdict = Literal["within", "outside", "not comparable"]
SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A published number and ours; percent, points, or the published unit."""

    publication: str
    where: str
    pair: str  # ours
    strategy: str  # our label
    quantity: str  # a Quantity, or acc_diff: the difference from the baseline [points]
    unit: str
    at: str
    published: float
    printed: str
    here: float | None
    here_ci: Bounds
    difference: float | None  # ours less the published
    verdict: Verdict
    why: tuple[str, ...]  # it cannot be compared
    caveats: tuple[str, ...]


def beside(frames: Frames, comparison: Comparison, shelf: Sequence[Publication]) -> list[Beside]:
    """Hold every measured row against what was published of its model, data set and strategy.

    Imported runs are left to ``printed``: they are what others measured.
    """
    found = []
    measured = frames.done[frames.done["imported_from"].isna()]
    for row in comparison.rows:
        runs = measured[(measured["pair"] == row.pair) & (measured["strategy"] == row.strategy)]
        spec = _spec(frames, runs)
        if spec is not None:
            cases = [case for publication in shelf for case in _cases(publication, row, runs, spec)]
            found += [one for case in cases for one in (_value(case), *_change(case))]
    return found


def unpublished(frames: Frames, shelf: Sequence[Publication]) -> Iterator[str]:
    """Measured pairs that nothing was published of."""
    measured = frames.done[frames.done["imported_from"].isna()]
    for (pair, model, dataset), _ in measured.groupby(["pair", "model", "dataset"], sort=False):
        if not any(is_same(work, str(model), str(dataset)) for each in shelf for work in each.workloads.values()):
            yield f"{pair}: no published number in kbench is about {model} on {dataset}"


def _spec(frames: Frames, runs: pd.DataFrame) -> RunSpec | None:
    if runs.empty or frames.folder is None:
        return None
    try:
        return frames.folder.run(str(runs["run_id"].iloc[0])).read_spec()
    except ResultsError:
        return None


def _cases(publication: Publication, row: Row, runs: pd.DataFrame, spec: RunSpec) -> Iterator[Case]:
    for table in publication.tables:
        if is_same(publication.workloads[table.pair], spec.pair.model, spec.pair.dataset):
            for cell in table.cells:
                if (cell.method or cell.strategy) == (spec.upstream or spec).strategy.name:
                    yield Case(publication, table, cell, row, runs, spec)


def _value(case: Case) -> Beside:
    """The number itself; only the same recipe gives the same accuracy."""
    table, cell = case.table, case.cell
    here, ci = _here(table, case.row, case.runs)
    why = [*of_recipe(case), *of_number(case)]
    return _judged(case, table.quantity, table.unit, (cell.number, cell.value), (here, ci), why)


def _change(case: Case) -> Iterator[Beside]:
    """The difference from the baseline, computed from the printed values, where there is one."""
    table, cell = case.table, case.cell
    change = table.difference(cell)
    if change is None or table.quantity not in ACCURACIES:
        return
    change = -change if table.quantity == "error" else change
    row, is_best = case.row, table.quantity == "best_acc"
    ours, ci = (row.acc_diff, row.acc_diff_ci) if is_best else (row.acc_final_diff, row.acc_final_diff_ci)
    here = None if ours is None else 100 * ours
    printed = f"{change:+.{cell.digits}f}"
    yield _judged(case, "acc_diff", "points", (change, printed), (here, _percent(ci)), list(of_recipe(case)))


def _judged(
    case: Case,
    quantity: str,
    unit: str,
    theirs: tuple[float, str],
    ours: tuple[float | None, Bounds],
    why: list[str],
) -> Beside:
    """The verdict on ``ours``, a mean with its interval, and ``theirs``, a value as printed."""
    (published, printed), (here, ci) = theirs, ours
    if here is None:
        why.append("not known here")
    elif ci is None and not why:
        why.append(f"no interval here: it takes {FEWEST} seeds with some spread")
    verdict: Verdict = "not comparable"
    if not why and ci is not None:
        verdict = "within" if ci[0] <= published <= ci[1] else "outside"
    return Beside(
        publication=case.publication.id,
        where=case.table.where,
        pair=case.row.pair,
        strategy=case.row.strategy,
        quantity=quantity,
        unit=unit,
        at=case.cell.at,
        published=published,
        printed=printed,
        here=here,
        here_ci=ci,
        difference=None if here is None else here - published,
        verdict=verdict,
        why=tuple(why),
        caveats=tuple(caveats(case.publication, case.table)),
    )


def _here(table: Table, row: Row, runs: pd.DataFrame) -> tuple[float | None, Bounds]:
    """Our number of the quantity, in the published unit, with a 95 % interval of its mean."""
    column = {"best_acc": "best_acc1", "final_acc": "final_acc1", "error": "final_acc1", "hidden": "hidden_mean"}
    if table.quantity == "time_change":
        return None if row.time_diff is None else 100 * row.time_diff, _percent(row.time_diff_ci)
    if table.quantity == "time":
        values = (runs["total_train_s"] / SECONDS[table.unit]).astype(float).tolist()
    elif table.quantity in column:
        values = (100 * runs[column[table.quantity]]).astype(float).tolist()
        values = [100 - value for value in values] if table.quantity == "error" else values
    else:
        return None, None
    return (None, None) if not values or any(map(math.isnan, values)) else mean_and_interval(values)


def _percent(bounds: Bounds) -> Bounds:
    return (100 * bounds[0], 100 * bounds[1]) if bounds else None
