"""Where data sets are looked for, and what is wrong with what lies there.  Knows no torch."""

import os
from pathlib import Path

from kbench.data import DATASETS, dataset_info
from kbench.data.store import manifest
from kbench.errors import WorkloadError

VARIABLE = "KBENCH_DATA"
SPOT_CHECKS = 200  # files of a data set that are looked for before every run, by every rank


def roots(site_root: str) -> list[Path]:
    """Where to look, in this order: the site's data root, then the folders of $KBENCH_DATA; each once."""
    named = [site_root, *os.environ.get(VARIABLE, "").split(os.pathsep)]
    return list(dict.fromkeys(Path(os.path.expandvars(name)).expanduser() for name in named if name))


def find(dataset: str, root: str) -> Path | None:
    """The folder of a data set: the first that is prepared, else the first that is there; None if there is none.

    A data set that needs no folder has none.
    """
    found = dataset_info(dataset)
    if found is None or not found.folder:
        return None
    there = [path for path in (place / found.folder for place in roots(root)) if path.is_dir()]
    prepared = [path for path in there if (path / manifest.NAME).exists()]
    return next(iter(prepared or there), None)


def own(root: str) -> list[str]:
    """Names of prepared data sets that have no card of their own: folder:NAME, shards:NAME, fractal-N."""
    found = set()
    for path in (path for place in roots(root) for path in place.glob(f"*/{manifest.NAME}")):
        try:
            written = manifest.read(path.parent)
        except WorkloadError:
            continue  # whoever asks for it will hear
        if written and written.dataset not in DATASETS and dataset_info(written.dataset):
            found.add(written.dataset)
    return sorted(found)


def problems(dataset: str, root: str) -> list[str]:
    """Sentences: what stands between a data set and training, and what to do; empty where nothing does."""
    found = dataset_info(dataset)
    if found is None:
        return [f"{dataset}: no such data set"]
    if not found.folder:
        return []
    looked = roots(root)
    if not looked:
        return [f"{dataset}: no place to look for it: set data_root of the site, or ${VARIABLE}"]
    place, remedy = find(dataset, root), f"kbench data prepare {dataset}"
    if place is None:
        where = ", ".join(map(str, looked))
        return [f"{dataset}: no folder {found.folder} in {where}; {remedy} fetches it or tells how to get it"]
    try:
        written = manifest.read(place)
    except WorkloadError as error:
        return [error.message]
    if written is None:
        return [f"{dataset}: {place} is there but not prepared; run {remedy}"]
    if written.dataset != dataset:
        return [f"{dataset}: {place} was prepared as {written.dataset}; run {remedy}"]
    return [f"{sentence}; run {remedy}" for sentence in manifest.misfits(place, written, at_most=SPOT_CHECKS)]


def note(dataset: str, root: str) -> str | None:
    """One sentence where a data set is usable but not the official one; it belongs into every run's provenance."""
    found, place = dataset_info(dataset), find(dataset, root)
    written = manifest.read(place) if place else None
    return written.note(found) if written and found else None
