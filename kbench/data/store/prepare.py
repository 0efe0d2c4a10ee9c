"""Making, verifying and opening data sets, whichever they are."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kbench.config.parse import did_you_mean
from kbench.data import DATASETS, OWN, DatasetInfo, dataset_info
from kbench.data.store import locate, manifest
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import ConfigError, WorkloadError

if TYPE_CHECKING:  # torch is not needed to know what is missing
    from kbench.data.views.spec import Source

Tell = Callable[[str], None]


def prepare(
    dataset: str, *, root: str, given: Path | None, download: bool, workers: int, tell: Tell
) -> tuple[Path, Manifest]:
    """Make a data set ready below the first data root; returns its folder and manifest.

    Files are looked for in ``given``, in the data set's folder of every root, and in the roots themselves.
    """
    found = known(dataset)
    if not found.prepare:
        raise ConfigError(f"{dataset} needs no preparing", hint="it is made when it is loaded")
    roots = locate.roots(root)
    if not roots:
        raise ConfigError(
            "no place to keep data: no data root is set",
            hint=f"set data_root of the site, or ${locate.VARIABLE}, or give --root",
        )
    folder = roots[0] / found.folder
    names = (found.folder, *found.look_in)
    look_in = (*([given] if given else []), *(place / name for place in roots for name in names), *roots)
    work = PrepareJob(
        dataset=dataset,
        card=found,
        folder=folder,
        look_in=tuple(dict.fromkeys(look_in)),
        download=download,
        workers=workers,
        tell=tell,
    )
    made: Manifest = _function(found.prepare)(work)
    return folder, made


def verify(dataset: str, *, root: str, workers: int, tell: Tell) -> list[str]:
    """Read a data set in full; sentences that say what is wrong with it, none where nothing is."""
    found = known(dataset)
    wrong = locate.problems(dataset, root)
    place = locate.find(dataset, root)
    if wrong or place is None:
        return wrong
    written = manifest.read(place)
    assert written is not None, "there are no problems"
    sentences: list[str] = _function(found.verify)(place, written, workers, tell)
    return sentences


class Opened(NamedTuple):
    """A data set that is ready to be trained on."""

    train: "Source"
    val: "Source"
    card: DatasetInfo  # with the counts that were found
    note: str | None  # one sentence where they are not the official ones
    identity: str | None  # of the files, in a few digits; None where there are none


def opened(dataset: str, root: str) -> Opened:
    """Open a data set.  Raises WorkloadError where it is not as it was prepared."""
    found = known(dataset)
    wrong = locate.problems(dataset, root)
    if wrong:
        raise WorkloadError(wrong[0], hint="kbench data list tells where data sets are looked for")
    place = locate.find(dataset, root)
    train: "Source"
    val: "Source"
    train, val = _function(found.target)(place)
    written = manifest.read(place) if place else None
    counts = (written.n_train, written.n_val) if written else (found.n_train, found.n_val)
    if (len(train), len(val)) != counts:
        raise WorkloadError(
            f"{dataset}: {len(train)} training and {len(val)} validation samples found, "
            f"{counts[0]} and {counts[1]} expected",
            hint=f"make it anew: kbench data prepare {dataset}" if place else "",
        )
    if written is None:
        return Opened(train, val, found, None, None)
    return Opened(train, val, written.onto(found), written.note(found), written.identity)


def known(dataset: str) -> DatasetInfo:
    """The card of a data set.  Raises ConfigError where there is none."""
    found = dataset_info(dataset)
    if found is None:
        names = [*DATASETS, *(f"{prefix}NAME" for prefix in OWN)]
        raise ConfigError(f"unknown data set {dataset!r}{did_you_mean(dataset, names)}")
    return found


def _function(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
