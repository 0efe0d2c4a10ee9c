"""Published numbers beside measured ones: within the interval, outside, or not comparable and why.

A printed number is one noisy run, or the mean of some; so it is held against the interval in which such a number lies
with 95 % if it comes from the same distribution, not against the narrower interval of the measured mean.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from kbench.analysis.frame import Frames
from kbench.analysis.interval import MIN_VALUES, Bounds, estimate, prediction_interval, standard_deviation
from kbench.analysis.pairing import differences, pair_runs
from kbench.analysis.rows import Comparison, Row
from kbench.analysis.transfer import last_losses
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.papers.publications import Cell, Publication, Table, Workload, caveats

Verdict = Literal["within", "outside", "not comparable"]
SECONDS = {"s": 1, "min": 60, "h": 3600}
ACCURACIES = ("best_acc", "final_acc", "error")
NO_COUNTERPART = {  # quantities of which kbench has no number that means the same
    "acc": "which epoch's accuracy it is is not said",
    "speedup": "other targets",
    "epochs": "other targets",
    "saved": "what counts as cost is not said",
}


@dataclass(frozen=True, kw_only=True)
class PublishedVsMeasured:
    """A published number and the measured one; percent, points, or the published unit."""

    publication: str
    where: str
    pair: str  # as measured
    strategy: str  # label of the measured runs
    quantity: str  # a Quantity, or acc_diff: the difference from the baseline [points]
    unit: str
    at: str
    published: float
    printed: str
    here: float | None
    here_ci: Bounds  # 95 %, of the mean
    expected: Bounds  # where a number of that many runs lies with 95 % if it is of the same distribution
    runs: int | None  # behind the published number; None: not said, and taken for one
    difference: float | None  # measured less published
    verdict: Verdict
    why: tuple[str, ...]  # it cannot be compared
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A cell of a published table, and the measured runs that it may be about."""

    publication: Publication
    table: Table
    cell: Cell
    row: Row
    runs: pd.DataFrame
    matched: pd.DataFrame  # the same with those of the baseline
    spec: RunSpec

    @property
    def workload(self) -> Workload:
        return self.publication.workloads[self.table.pair]


def published_vs_measured(
    frames: Frames, comparison: Comparison, publications: Sequence[Publication]
) -> list[PublishedVsMeasured]:
    """Hold every measured row against what was published of its model, data set and strategy.

    Imported runs are left to ``log_evidence``: they are what others measured.
    """
    found = []
    measured = frames.done[frames.done["imported_from"].isna()]
    untimed = measured["run_id"].isin(frames.untimed)
    measured = measured.assign(total_train_s=measured["total_train_s"].mask(untimed))
    measured = measured.merge(last_losses(frames), on="run_id", how="left")
    matched = pair_runs(frames, comparison.baseline)
    for row in comparison.rows:
        runs = measured[(measured["pair"] == row.pair) & (measured["strategy"] == row.strategy)]
        paired = matched[matched["run_id"].isin(runs["run_id"])]
        spec = _spec(frames, runs)
        if spec is not None:
            cases = [case for publication in publications for case in _cases(publication, row, runs, paired, spec)]
            found += [one for case in cases for one in (_value(case), *_difference(case))]
    return found


def unpublished_pairs(frames: Frames, publications: Sequence[Publication]) -> Iterator[str]:
    """Measured pairs that nothing was published of."""
    measured = frames.done[frames.done["imported_from"].isna()]
    workloads = [workload for publication in publications for workload in publication.workloads.values()]
    for (pair, model, dataset), _ in measured.groupby(["pair", "model", "dataset"], sort=False):
        if not any(_is_same(workload, str(model), str(dataset)) for workload in workloads):
            yield f"{pair}: no published number in kbench is about {model} on {dataset}"


def _spec(frames: Frames, runs: pd.DataFrame) -> RunSpec | None:
    if runs.empty or frames.folder is None:
        return None
    try:
        return frames.folder.run(str(runs["run_id"].iloc[0])).read_spec()
    except ResultsError:
        return None


def _cases(
    publication: Publication, row: Row, runs: pd.DataFrame, matched: pd.DataFrame, spec: RunSpec
) -> Iterator[Case]:
    for table in publication.tables:
        if _is_same(publication.workloads[table.pair], spec.pair.model, spec.pair.dataset):
            for cell in table.cells:
                if (cell.method or cell.strategy) == (spec.upstream or spec).strategy.name:
                    yield Case(publication, table, cell, row, runs, matched, spec)


@dataclass(frozen=True)
class Measured:
    """A measured number, the interval of its mean, and where a published one of the same kind is expected."""

    mean: float | None = None
    ci: Bounds = None
    expected: Bounds = None


def _value(case: Case) -> PublishedVsMeasured:
    """The number itself; only the same recipe gives the same accuracy."""
    table, cell = case.table, case.cell
    why = [*why_recipe_differs(case), *_why_number_differs(case)]
    return _judged(case, table.quantity, table.unit, (cell.number, cell.value), _here(case), why)


def _difference(case: Case) -> Iterator[PublishedVsMeasured]:
    """The difference from the baseline, computed from the printed values, where there is one."""
    table, cell = case.table, case.cell
    change = table.difference(cell)
    if change is None or table.quantity not in ACCURACIES:
        return
    change = -change if table.quantity == "error" else change
    column = "best_acc1" if table.quantity == "best_acc" else "final_acc1"
    values = [100 * value for value in differences(case.matched, column)]
    both = [standard_deviation(case.matched[name].tolist()) for name in (column, f"{column}_base")]
    here = Measured()
    if case.row.acc_final_diff is not None:
        spread = None if None in both else 100 * math.hypot(*(sd for sd in both if sd is not None))
        found = estimate(values)
        expected = prediction_interval(values, n_new=table.runs or 1, spread=spread, rounding=cell.last_digit)
        here = Measured(found.mean, found.ci, expected)
    printed = f"{change:+.{cell.digits}f}"
    yield _judged(case, "acc_diff", "points", (change, printed), here, list(why_recipe_differs(case)))


def _judged(
    case: Case,
    quantity: str,
    unit: str,
    published: tuple[float, str],
    measured: Measured,
    why: list[str],
) -> PublishedVsMeasured:
    """The verdict on a published value, with its digits as printed, and what was measured."""
    (value, printed), here, expected = published, measured.mean, measured.expected
    if here is None:
        why.append("not known here")
    elif expected is None and not why:
        why.append(f"no interval here: it takes {MIN_VALUES} seeds with some spread")
    verdict: Verdict = "not comparable"
    if not why and expected is not None:
        verdict = "within" if expected[0] <= value <= expected[1] else "outside"
    return PublishedVsMeasured(
        publication=case.publication.id,
        where=case.table.where,
        pair=case.row.pair,
        strategy=case.row.strategy,
        quantity=quantity,
        unit=unit,
        at=case.cell.at,
        published=value,
        printed=printed,
        here=here,
        here_ci=measured.ci,
        expected=expected,
        runs=case.table.runs,
        difference=None if here is None else here - value,
        verdict=verdict,
        why=tuple(why),
        caveats=tuple(caveats(case.publication, case.table)),
    )


def _here(case: Case) -> Measured:
    """The measured number of the quantity, in the published unit."""
    table, row, runs = case.table, case.row, case.runs
    column = {"best_acc": "best_acc1", "final_acc": "final_acc1", "error": "final_acc1", "hidden": "hidden_mean"}
    if table.quantity == "time_change":
        return Measured(None if row.time_diff is None else 100 * row.time_diff, _percent(row.time_diff_ci))
    if table.quantity == "time":
        values = (runs["total_train_s"].dropna() / SECONDS[table.unit]).astype(float).tolist()
    elif table.quantity == "loss":
        values = runs["train_loss_smoothed" if table.smoothing else "train_loss"].dropna().astype(float).tolist()
    elif table.quantity in column:
        values = (100 * runs[column[table.quantity]]).astype(float).tolist()
        values = [100 - value for value in values] if table.quantity == "error" else values
    else:
        return Measured()
    found = estimate(values)
    if found.mean is None:
        return Measured()
    half_digit = 0.5 * case.cell.last_digit
    expected = prediction_interval(values, n_new=table.runs or 1, spread=case.cell.sd, rounding=half_digit)
    return Measured(found.mean, found.ci, expected)


def _percent(bounds: Bounds) -> Bounds:
    return (100 * bounds[0], 100 * bounds[1]) if bounds else None


def _is_same(workload: Workload, model: str, dataset: str) -> bool:
    return model in workload.models and dataset in workload.datasets


def why_recipe_differs(case: Case) -> Iterator[str]:
    """Why not even a difference from the baseline can be compared."""
    published, measured = case.workload.epochs, case.spec.pair.recipe.epochs
    if published is None:
        yield "its epochs are not known"
    elif published != measured:
        yield f"{published} epochs there, {measured} here"
    if case.table.metric_undefined:
        yield "metric undefined"
    params = (case.spec.upstream or case.spec).strategy.params
    for name, value in case.cell.params.items():
        if name in params and params[name] != value:
            yield f"{name} {value:g} there, {params[name]} here"
    if case.cell.at and not case.cell.params:
        yield case.cell.at


def _why_number_differs(case: Case) -> Iterator[str]:
    """Why the number itself cannot be compared."""
    quantity, workload = case.table.quantity, case.workload
    if quantity in NO_COUNTERPART:
        yield NO_COUNTERPART[quantity]
    if quantity == "loss":
        published, smoothed = case.table.smoothing, case.spec.pair.recipe.label_smoothing
        if published is None:
            yield "how the loss is defined is not said"
        elif published != smoothed:
            yield f"labels smoothed by {published:g} there, by {smoothed:g} here"
    if quantity in (*ACCURACIES, "loss"):
        batch = case.spec.pair.recipe.global_batch
        if workload.global_batch is None:
            yield "its batch is not known"
        elif workload.global_batch != batch:
            yield f"batch {workload.global_batch} there, {batch} here"
    if quantity in ("time", "time_change"):
        devices = ", ".join(sorted({str(name) for name in case.runs["device_name"].dropna()})) or "unknown"
        yield f"hardware: {workload.hardware or 'not said'} there, {devices} here"
