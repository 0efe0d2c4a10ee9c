"""Where samples come from: the data sets by name.  Nothing heavy is imported to know them."""

import re
from dataclasses import replace

from kbench.data.registry import DATASETS, OWN, DatasetInfo, fractal_card

__all__ = ["DATASETS", "OWN", "DatasetInfo", "dataset_info"]


def dataset_info(name: str) -> DatasetInfo | None:
    """The card of a data set; ``folder:NAME``, ``shards:NAME`` and ``fractal-N`` (N classes) have one as well."""
    for prefix, own in OWN.items():
        if re.fullmatch(re.escape(prefix) + r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
            return replace(own, folder=name.removeprefix(prefix))
    counted = re.fullmatch(r"fractal-([1-9][0-9]*)", name)
    return DATASETS.get(name) or (fractal_card(name, int(counted[1])) if counted else None)
