"""An experiment's gathered Parquet files as pandas frames."""

from dataclasses import dataclass

import pandas as pd

from kbench.errors import ResultsError
from kbench.records.folders import ExperimentDir
from kbench.records.store import is_current


@dataclass(frozen=True)
class Frames:
    """An experiment's results: one row per epoch, and one row per run."""

    name: str
    epochs: pd.DataFrame
    runs: pd.DataFrame
    folder: ExperimentDir | None = None  # where the specs of the runs lie

    @property
    def done(self) -> pd.DataFrame:
        """The runs that ended well; only these are compared."""
        return self.runs[self.runs["state"] == "done"]


def load(folder: ExperimentDir) -> Frames:
    """Read epochs.parquet and runs.parquet.

    Raises:
        ResultsError: A file is not there, cannot be read, or was gathered by another version of kbench.
    """
    try:
        epochs, runs = pd.read_parquet(folder.epochs), pd.read_parquet(folder.runs)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{folder.path}: cannot be read: {error}", hint="kbench gather makes it anew") from error
    for table in (folder.epochs, folder.runs):
        if not is_current(table):
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
