"""The formats that can be read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from kbench.importers import csv_table, kakurenbo, mllog, tensorboard, wandb
from kbench.importers.log import Log


class Format(NamedTuple):
    """How files of one kind are read."""

    read: Callable[[Sequence[Path]], list[Log]]
    about: str
    cut_short: bool  # whether the runs of one import were to take as many epochs as the longest of them


FORMATS = {
    "csv": Format(csv_table.read, "a table with the columns of epochs.parquet, any of them left out", False),
    "kakurenbo-log": Format(kakurenbo.read, "log folders of the KAKURENBO authors' scripts", False),
    "mllog": Format(mllog.read, "MLPerf logs, a file per run", False),
    "tensorboard": Format(tensorboard.read, "folders of event files, a run each", False),
    "wandb-csv": Format(wandb.read, "a chart of Weights & Biases exported as CSV, a column per run", True),
}
