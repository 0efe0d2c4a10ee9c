"""An experiment's gathered Parquet files as pandas frames."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from kbench.errors import ResultsError
from kbench.records.disturbance import (
    COLUMNS,
    Disturbed,
    MeasuredRun,
    Surroundings,
    find_disturbed,
    instruments,
    surroundings,
)
from kbench.records.folders import ExperimentDir
from kbench.records.store import Tables, is_current, open_table

Clock = Literal["train", "total"]  # training alone; or evaluation and staging with it, start-up apart


@dataclass(frozen=True)
class Frames:
    """An experiment's results: one row per epoch, and one row per run."""

    name: str
    epochs: pd.DataFrame
    runs: pd.DataFrame
    folder: ExperimentDir | None = None  # where the specs of the runs lie
    keep_disturbed: bool = False  # whether times of disturbed runs count as others do
    clock: Clock = "train"  # that accuracy is seen over, and targets are reached on

    @property
    def done(self) -> pd.DataFrame:
        """The runs that ended well; only these are compared."""
        return self.runs[self.runs["state"] == "done"]

    @cached_property
    def disturbed(self) -> Mapping[str, Disturbed]:
        """The runs that are done and were disturbed, by run id, in the order of the file."""
        return find_disturbed(_measured_runs(self.done, self.epochs))

    @property
    def untimed(self) -> frozenset[str]:
        """The ids of the runs whose times are left out of what is compared and drawn; their accuracies are not."""
        return frozenset() if self.keep_disturbed else frozenset(self.disturbed)


def _measured_runs(runs: pd.DataFrame, epochs: pd.DataFrame) -> Iterator[MeasuredRun]:
    known = runs.astype("object").where(runs.notna(), None)  # NaN is not equal to itself
    rows = epochs.loc[epochs["run_id"].isin(runs["run_id"]), ["run_id", *COLUMNS]]
    measured: dict[str, list[Surroundings]] = {}
    for run_id, *values in rows.itertuples(index=False, name=None):
        if found := surroundings(dict(zip(COLUMNS, values, strict=True))):
            measured.setdefault(str(run_id), []).append(found)
    for row in known.to_dict("records"):
        run = {str(column): value for column, value in row.items()}
        if run["run_id"] in measured and run["seed"] is not None:
            yield MeasuredRun(
                run_id=run["run_id"],
                pair=run["pair"],
                strategy=run["strategy"],
                seed=int(run["seed"]),
                instruments=instruments(run),
                on_gpu=bool(run["n_devices"]),
                epochs=tuple(measured[run["run_id"]]),
            )


def load(tables: Tables) -> Frames:
    """Read the gathered epochs and runs.

    Raises:
        ResultsError: A file is not there, cannot be read, or was gathered by another version of kbench.
    """
    folder = tables.folder
    try:
        epochs, runs = (pd.read_parquet(open_table(table)) for table in (tables.epochs, tables.runs))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{folder.path}: cannot be read: {error}", hint="kbench gather makes it anew") from error
    for table in (tables.epochs, tables.runs):
        if isinstance(table, Path) and not is_current(table):
            raise ResultsError(f"{table}: another version of kbench made it", hint="kbench gather makes it anew")
    return Frames(folder.path.name, epochs, runs, folder)


def last_phase(epochs: pd.DataFrame) -> pd.DataFrame:
    """The epochs of each run's last phase, in the order of training; logs without phases have one."""
    ordered = epochs.sort_values("elapsed_s", kind="stable")
    phase = fill_unknown(ordered["phase"], "")
    return ordered[phase == phase.groupby(ordered["run_id"], sort=False).transform("last")]


def fill_unknown(texts: "pd.Series[str]", otherwise: str) -> "pd.Series[str]":
    """``texts`` with ``otherwise`` where one is not known, also where none is (pandas takes those for numbers)."""
    return texts.astype("object").where(texts.notna(), otherwise)
