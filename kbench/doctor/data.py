"""Where data sets are looked for, and which are there.

``python -m kbench.doctor.data ROOT`` prints it as JSON, in a process that the doctor can give up.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter

from kbench.data import DATASETS
from kbench.data.store.locate import find, problems, roots
from kbench.doctor.need import Need
from kbench.launch.diagnosis import Finding, ask, missing, ok, warning

SECONDS = 60.0
REMEDY = "data_root: in the site file or $KBENCH_DATA say where they lie"


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data roots, and what was found below them."""

    roots: dict[str, bool]  # whether each is there
    problems: dict[str, list[str]]  # of each data set that has a folder: sentences; none where it is ready


FACTS = TypeAdapter(DataFacts)


def data(need: Need) -> Iterator[Finding]:
    """Look at the data roots of the site and the environment."""
    answer = ask([sys.executable, "-m", "kbench.doctor.data", need.site.data_root], seconds=SECONDS)
    if answer.ok:
        yield from judge(FACTS.validate_json(answer.out), need)
    else:
        remedy = "a file system that does not answer? try to list the folder by hand"
        yield missing("data roots", answer.why, remedy, needed=bool(need.site.data_root))


def judge(facts: DataFacts, need: Need) -> Iterator[Finding]:
    """Judge the data roots by what they hold."""
    if not facts.roots:
        yield missing("data roots", "none named; digits need none, other data sets do", REMEDY, needed=False)
        return
    absent = [root for root, exists in facts.roots.items() if not exists]
    if absent:
        named = bool(need.site.data_root) and not next(iter(facts.roots.values()))
        yield missing("data roots", f"no folder {', '.join(absent)}", REMEDY, needed=named)
    else:
        yield ok("data roots", ", ".join(facts.roots))
    ready = [name for name, sentences in facts.problems.items() if not sentences]
    yield ok("data sets", f"{', '.join(ready) or 'none'} ready; kbench data list shows all")
    for sentence in (sentence for sentences in facts.problems.values() for sentence in sentences):
        found, _, remedy = sentence.partition("; ")
        yield warning("data sets", found, remedy)


def look_for_data(site_root: str) -> DataFacts:
    """Look at the data roots, and at every data set that has a folder below one."""
    return DataFacts(
        roots={str(root): root.is_dir() for root in roots(site_root)},
        problems={name: problems(name, site_root) for name in DATASETS if find(name, site_root) is not None},
    )


if __name__ == "__main__":
    print(FACTS.dump_json(look_for_data(sys.argv[1])).decode())
