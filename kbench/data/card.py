"""What is known of a data set before it is loaded."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """A data set by its name.  Counts are the official ones; 0 is one that is not known before."""

    target: str  # "module:function" that loads it: called with its folder or None, returns (training, validation)
    n_train: int
    n_val: int
    n_classes: int
    shape: tuple[int, int, int]  # channels, height, width of what a model sees unless its recipe says otherwise
    augments: tuple[str, ...]
    about: str
    task: Literal["classification", "segmentation"] = "classification"
    mean: tuple[float, ...] = ()  # per channel, of pixels in [0, 1], unless the recipe says otherwise
    std: tuple[float, ...] = ()
    folder: str = ""  # its name below a data root; empty: needs none
    look_in: tuple[str, ...] = ()  # other folders below a root where files for it may lie
    prepare: str = ""  # "module:function" that makes it ready: called with a Work, returns its Stamp
    verify: str = ""  # "module:function": (folder, stamp, workers, tell) to sentences that say what is wrong
    get: str = ""  # how to come by it, in words
