"""Make any data set ready, verify it, open it."""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, NamedTuple

from kbench.config import own_code
from kbench.config.parse import did_you_mean
from kbench.data.registry import DatasetInfo, dataset_info, dataset_names
from kbench.data.store import locate, manifest
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import ConfigError, ResultsError, WorkloadError

if TYPE_CHECKING:  # torch is not needed to know what is missing
    from kbench.data.views.spec import Source


def prepare(
    dataset: str, *, root: str, given: Path | None, download: bool, workers: int, report: Callable[[str], None]
) -> tuple[Path, Manifest]:
    """Make a data set ready below the first data root.

    Args:
        dataset: Its name.
        root: The site's data root; empty: only those of $KBENCH_DATA.
        given: A folder to look for its files in, before its own folder in every root, and the roots themselves.
        download: Whether to fetch what is missing.
        workers: Processes.
        report: Called with a line of progress.

    Returns:
        The folder of the data set, and its manifest.

    Raises:
        ConfigError: There is no such data set, nothing to prepare, or no data root.
        WorkloadError: A file is missing, is not what it should be, or cannot be written.
    """
    info = require_dataset(dataset)
    if not info.prepare:
        raise ConfigError(f"{dataset} needs no preparing", hint="it is made when it is loaded")
    roots = locate.roots(root)
    if not roots:
        raise ConfigError(
            "no place to keep data: no data root is set",
            hint=f"set data_root of the site, or ${locate.VARIABLE}, or give --root",
        )
    folder = roots[0] / info.folder
    names = (info.folder, *info.look_in)
    look_in = (*([given] if given else []), *(place / name for place in roots for name in names), *roots)
    job = PrepareJob(
        dataset=dataset,
        info=info,
        folder=folder,
        look_in=tuple(dict.fromkeys(look_in)),
        download=download,
        workers=workers,
        report=report,
    )
    try:
        written: Manifest = resolve_name(info.prepare)(job)
    except ResultsError as error:  # a file that cannot be written
        raise WorkloadError(error.message, hint="name another data root") from error
    return folder, written


def verify(dataset: str, *, root: str, workers: int, report: Callable[[str], None]) -> list[str]:
    """Read a data set in full; sentences that say what is wrong with it, none where nothing is."""
    info = require_dataset(dataset)
    wrong = locate.problems(dataset, root)
    place = locate.find(dataset, root)
    if wrong or place is None:
        return wrong
    written = manifest.read(place)
    assert written is not None, "there are no problems"
    sentences: list[str] = resolve_name(info.verify)(place, written, workers, report)
    return sentences


class OpenDataset(NamedTuple):
    """A data set that is ready to be trained on."""

    train: "Source"
    val: "Source"
    info: DatasetInfo  # with the counts that were found
    note: str | None  # one sentence where they are not the official ones
    identity: str | None  # of the files, in a few digits; None where there are none


def open_dataset(dataset: str, root: str) -> OpenDataset:
    """Open both parts of a data set.

    Args:
        dataset: Its name.
        root: The site's data root; empty: only those of $KBENCH_DATA.

    Raises:
        ConfigError: There is no such data set.
        WorkloadError: It is missing, or not as it was prepared.
    """
    info = require_dataset(dataset)
    wrong = locate.problems(dataset, root)
    if wrong:
        raise WorkloadError(wrong[0], hint="kbench data list tells where data sets are looked for")
    place = Path(info.file) if info.file else locate.find(dataset, root)
    train: "Source"
    val: "Source"
    train, val = resolve_name(info.target)(place)
    written = manifest.read(place) if place and not info.file else None
    expected = written.applied_to(info) if written else info
    if (len(train), len(val)) != (expected.n_train, expected.n_val):
        raise WorkloadError(
            f"{dataset}: {len(train)} training and {len(val)} validation samples found, "
            f"{expected.n_train} and {expected.n_val} expected",
            hint=f"make it anew: kbench data prepare {dataset}" if written else "kbench check-data examines your own",
        )
    if written is None:
        identity = manifest.digest(place)[:12] if place else None
        if identity is None and own_code.target_of(dataset, own_code.DATASETS):
            identity = resolve_name("kbench.data.loader:identity_of")(train, val)
        return OpenDataset(train, val, info, None, identity)
    return OpenDataset(train, val, expected, written.note(info), written.identity)


def require_dataset(dataset: str) -> DatasetInfo:
    """Look a data set up.  Raises ConfigError, with the nearest name, where there is none."""
    info = dataset_info(dataset)
    if info is None:
        raise ConfigError(f"unknown data set {dataset!r}{did_you_mean(dataset, dataset_names())}")
    return info
