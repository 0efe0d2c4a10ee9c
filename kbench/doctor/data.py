"""Where data sets are looked for, and which are there."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from kbench.data import DATASETS
from kbench.data.store.locate import find, problems, roots
from kbench.doctor.need import Item, Need, ask, missing, ok, warning


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

SECONDS = 60.0
REMEDY = "data_root: in the site file or $KBENCH_DATA say where they lie"


def data(need: Need) -> Iterator[Item]:
    """Look at the data roots of the site and the environment."""
    answer = ask([sys.executable, "-m", "kbench.doctor.data", need.site.data_root], seconds=SECONDS)
    if answer.ok:
        yield from judge(json.loads(answer.out), need)
    else:
        remedy = "a file system that does not answer? try to list the folder by hand"
        yield missing("data roots", answer.why, remedy, needed=bool(need.site.data_root))


def judge(facts: dict[str, Any], need: Need) -> Iterator[Item]:
    """What the data roots hold."""
    roots, datasets = facts["roots"], facts["datasets"]
    absent = [root for root, there in roots.items() if not there]
    if not roots:
        yield missing("data roots", "none named; digits need none, other data sets do", REMEDY, needed=False)
        return
    if absent:
        named = bool(need.site.data_root) and not next(iter(roots.values()))
        yield missing("data roots", f"no folder {', '.join(absent)}", REMEDY, needed=named)
    else:
        yield ok("data roots", ", ".join(roots))
    usable = [name for name, one in datasets.items() if not one["problems"]]
    yield ok("data sets", f"{', '.join(usable) or 'none'} ready; kbench data list shows all")
    for one in datasets.values():
        for problem in one["problems"]:
            said, _, remedy = problem.partition("; ")
            yield warning("data sets", said, remedy)
