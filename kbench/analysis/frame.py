"""An experiment's gathered Parquet files as pandas frames."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kbench.errors import ResultsError
from kbench.records.folders import ExperimentDir
from kbench.records.schema import Column, EpochRecord, Identity, RunRecord, columns


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
    """Read epochs.parquet and runs.parquet; columns that an older kbench did not gather are there, and hold nothing.

    Raises:
        ResultsError: A file is not there or cannot be read.
    """
    try:
        epochs = _read(folder.epochs, columns(Identity, EpochRecord))
        runs = _read(folder.runs, columns(Identity, RunRecord))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{folder.path}: cannot be read: {error}", hint="kbench gather makes it anew") from error
    return Frames(folder.path.name, epochs, runs, folder)


def last_phase(epochs: pd.DataFrame) -> pd.DataFrame:
    """The epochs of each run's last phase, in the order of training; logs without phases have one."""
    ordered = epochs.sort_values("elapsed_s", kind="stable")
    phase = fill_unknown(ordered["phase"], "")
    return ordered[phase == phase.groupby(ordered["run_id"], sort=False).transform("last")]


def fill_unknown(texts: "pd.Series[str]", otherwise: str) -> "pd.Series[str]":
    """``texts`` with ``otherwise`` where one is not known, also where none is (pandas takes those for numbers)."""
    return texts.astype("object").where(texts.notna(), otherwise)


def _read(path: Path, wanted: list[Column]) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    for column in wanted:
        if column.name not in frame.columns:
            frame[column.name] = pd.Series(None, index=frame.index, dtype="object" if column.type is str else "float64")
    return frame
