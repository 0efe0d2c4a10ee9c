"""The gathered Parquet as pandas frames."""

from dataclasses import dataclass

import pandas as pd

from kbench.errors import ResultsError
from kbench.records.folders import ExperimentDir


@dataclass(frozen=True)
class Frames:
    """An experiment's results: one row per epoch, and one row per run."""

    name: str
    epochs: pd.DataFrame
    runs: pd.DataFrame

    @property
    def done(self) -> pd.DataFrame:
        """The runs that ended well; only these are compared."""
        return self.runs[self.runs["state"] == "done"]


def load(folder: ExperimentDir) -> Frames:
    """Read what was gathered; raises ResultsError when it cannot be read."""
    try:
        return Frames(folder.path.name, pd.read_parquet(folder.epochs), pd.read_parquet(folder.runs))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{folder.path}: cannot be read: {error}", hint="kbench gather makes it anew") from error
