"""Tell as JSON which data sets lie below the data roots: ``python -m kbench.doctor.data_facts DATA_ROOT``.

A program of its own, as a dead network file system must not hang who asks.
"""

import json
import sys
from typing import Any

from kbench.data import DATASETS
from kbench.data.places import find, problems, roots


def main() -> None:
    """Print the facts on one line."""
    print(json.dumps(facts(sys.argv[1])))


def facts(site_root: str) -> dict[str, Any]:
    """The roots and whether they are there; the data sets below them, with what is wrong with each."""
    found = {name: find(name, site_root) for name in DATASETS}
    return {
        "roots": {str(root): root.is_dir() for root in roots(site_root)},
        "datasets": {
            name: {"place": str(place), "problems": problems(name, site_root)}
            for name, place in found.items()
            if place is not None
        },
    }


if __name__ == "__main__":
    main()
