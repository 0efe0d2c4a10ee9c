"""The formats that results of others are imported from, by name.  One more is a file here and a line in ``FORMATS``."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kbench.importers.log import Log

FORMATS = {  # name: where its ImportFormat is, imported when it is used
    "cords-log": "kbench.importers.cords:CORDS_LOG",
    "csv": "kbench.importers.csv_table:CSV",
    "kakurenbo-log": "kbench.importers.kakurenbo:KAKURENBO_LOG",
    "keras-csv": "kbench.importers.epoch_table:KERAS_CSV",
    "lightning-csv": "kbench.importers.epoch_table:LIGHTNING_CSV",
    "mllog": "kbench.importers.mllog:MLLOG",
    "tensorboard": "kbench.importers.tensorboard:TENSORBOARD",
    "timm-csv": "kbench.importers.epoch_table:TIMM_CSV",
    "wandb-csv": "kbench.importers.wandb:WANDB_CSV",
}


@dataclass(frozen=True)
class ImportFormat:
    """How files of one format are read."""

    about: str
    read: "Callable[..., list[Log]]"  # of Sequence[Path]; with percent=True where the format leaves that open
    may_be_percent: bool = False  # whether the values alone say if accuracies are percent
    equal_lengths: bool = False  # whether the runs of one import were to take as many epochs as the longest of them


def import_format(name: str) -> ImportFormat:
    """The format with a name of ``FORMATS``."""
    return cast(ImportFormat, pkgutil.resolve_name(FORMATS[name]))
