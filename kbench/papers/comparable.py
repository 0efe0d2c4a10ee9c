"""Why a published number and one of ours cannot be compared."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from kbench.analysis.rows import Row
from kbench.config.run_spec import RunSpec
from kbench.papers.model import Cell, Publication, Table, Workload

ACCURACIES = ("best_acc", "final_acc", "error")
NO_COUNTERPART = {  # quantities of which kbench has no number that means the same
    "acc": "which epoch's accuracy it is is not said",
    "loss": "other definitions of the loss",
    "speedup": "other targets",
    "epochs": "other targets",
    "saved": "what counts as cost is not said",
}


@dataclass(frozen=True)
class Case:
    """A cell of a published table, and the runs of ours that it may be about."""

    publication: Publication
    table: Table
    cell: Cell
    row: Row
    runs: pd.DataFrame
    spec: RunSpec

    @property
    def workload(self) -> Workload:
        return self.publication.workloads[self.table.pair]


def is_same(workload: Workload, model: str, dataset: str) -> bool:
    return model in workload.models and dataset in workload.datasets


def of_recipe(case: Case) -> Iterator[str]:
    """Why not even a difference from the baseline can be compared."""
    theirs, ours = case.workload.epochs, case.spec.pair.recipe.epochs
    if theirs is None:
        yield "its epochs are not known"
    elif theirs != ours:
        yield f"{theirs} epochs there, {ours} here"
    if case.table.metric_undefined:
        yield "metric undefined"
    params = (case.spec.upstream or case.spec).strategy.params
    for name, value in case.cell.params.items():
        if name in params and params[name] != value:
            yield f"{name} {value:g} there, {params[name]} here"
    if case.cell.at and not case.cell.params:
        yield case.cell.at


def of_number(case: Case) -> Iterator[str]:
    """Why the number itself cannot be compared."""
    quantity, workload = case.table.quantity, case.workload
    if quantity in NO_COUNTERPART:
        yield NO_COUNTERPART[quantity]
    if quantity in ACCURACIES:
        batch = case.spec.pair.recipe.global_batch
        if workload.global_batch is None:
            yield "its batch is not known"
        elif workload.global_batch != batch:
            yield f"batch {workload.global_batch} there, {batch} here"
    if quantity in ("time", "time_change"):
        devices = ", ".join(sorted({str(name) for name in case.runs["device_name"].dropna()})) or "unknown"
        yield f"hardware: {workload.hardware or 'not said'} there, {devices} here"
