"""Where data sets are looked for, and what is wrong with what lies there.  Imports no torch."""

import os
from contextlib import suppress
from pathlib import Path

from kbench.data.registry import DATASETS, dataset_info
from kbench.data.store import manifest
from kbench.errors import ConfigError, WorkloadError

VARIABLE = "KBENCH_DATA"
SPOT_CHECKS = 200  # files of a data set that are looked for before every run, by every rank


def roots(site_root: str) -> list[Path]:
    """The data roots, in the order in which they are searched: the site's, then those of $KBENCH_DATA; each once."""
    named = [site_root, *os.environ.get(VARIABLE, "").split(os.pathsep)]
    return list(dict.fromkeys(Path(os.path.expandvars(name)).expanduser() for name in named if name))


def find(dataset: str, root: str) -> Path | None:
    """Find the folder of a data set: the first that is prepared, else the first that is there; None if there is none.

    A data set that needs no folder has none.
    """
    info = dataset_info(dataset)
    if info is None or not info.folder:
        return None
    folders = [path for path in (place / info.folder for place in roots(root)) if path.is_dir()]
    prepared = [path for path in folders if (path / manifest.NAME).exists()]
    return next(iter(prepared or folders), None)


def own_datasets(root: str) -> list[str]:
    """Names of prepared data sets that have no entry in DATASETS: folder:NAME, hf:NAME, fractal-N and so on."""
    found = set()
    for path in (path for place in roots(root) for path in place.glob(f"*/{manifest.NAME}")):
        try:
            written = manifest.read(path.parent)
        except WorkloadError:
            continue  # problems() says so
        with suppress(ConfigError):  # one of the user's own, whose module is elsewhere
            if written and written.dataset not in DATASETS and dataset_info(written.dataset):
                found.add(written.dataset)
    return sorted(found)


def problems(dataset: str, root: str) -> list[str]:
    """Sentences: what stands between a data set and training, and what to do; empty where nothing does."""
    info = dataset_info(dataset)
    if info is None:
        return [f"{dataset}: no such data set"]
    if info.file and not Path(info.file).is_file():
        return [f"{dataset}: no such file, looked in {Path.cwd()}"]
    if not info.folder:
        return []
    searched = roots(root)
    if not searched:
        return [f"{dataset}: no place to look for it: set data_root of the site, or ${VARIABLE}"]
    place, remedy = find(dataset, root), f"kbench data prepare {dataset}"
    if place is None:
        where = ", ".join(map(str, searched))
        return [f"{dataset}: no folder {info.folder} in {where}; {remedy} fetches it or tells how to get it"]
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
    info, place = dataset_info(dataset), find(dataset, root)
    written = manifest.read(place) if place else None
    return written.note(info) if written and info else None


def find_prepared(dataset: str, root: str) -> tuple[Path, manifest.Manifest] | None:
    """Find the folder of a data set that needs no more preparing, and read what it holds; None if there is none."""
    place = None if problems(dataset, root) else find(dataset, root)
    written = manifest.read(place) if place else None
    return (place, written) if place and written else None


def describe(dataset: str, root: str) -> dict[str, str | None]:
    """Describe where a data set is: its state, a line for people, its folder, and how to get it."""
    info = dataset_info(dataset)
    assert info is not None, "it is in the list"
    if not info.folder:
        return {"state": "ready", "line": "needs no files", "folder": None, "note": None, "get": ""}
    place, wrong = find(dataset, root), problems(dataset, root)
    remark = None if wrong else note(dataset, root)
    state = "ready" if not wrong else "missing" if place is None else "not ready"
    line = remark or str(place) if not wrong else info.get if place is None else wrong[0]
    return {"state": state, "line": line, "folder": str(place) if place else None, "note": remark, "get": info.get}
