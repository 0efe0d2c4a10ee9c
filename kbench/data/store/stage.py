"""Bring a data set to a node before anything is timed: copy it there, whole or not at all, and read it once."""

import shutil
from pathlib import Path

import psutil

from kbench import files
from kbench.data.registry import dataset_info
from kbench.data.store import locate, manifest
from kbench.data.store.manifest import Manifest
from kbench.errors import ResultsError, WorkloadError

READ_BYTES = 2**23  # at a time


def stage(dataset: str, root: str, to: Path) -> str:
    """Copy what training reads of a data set below the folder ``to``.

    One process of a node copies, the others wait for it; what is there already is left.

    Returns:
        The data root that the data set then has; ``root`` where it needs no folder and nothing is copied.

    Raises:
        WorkloadError: The data is not ready, or ``to`` has no room for it.
    """
    info = dataset_info(dataset)
    if info is None or not info.folder:
        return root
    wrong = locate.problems(dataset, root)
    if wrong:
        raise WorkloadError(wrong[0])
    source = locate.find(dataset, root)
    assert source is not None, "there are no problems"
    written, copy = manifest.read(source), to / info.folder
    assert written is not None, "there are no problems"
    to.mkdir(parents=True, exist_ok=True)
    with files.locked(to / f".{info.folder}.lock"):  # one process of this node at a time
        if not _is_whole(copy, written):
            _copy(source, copy, written)
    return str(to)


def read_once(dataset: str, root: str) -> int | None:
    """Read what training reads of a data set, so that the host holds it in memory before the first epoch.

    Otherwise the first run on a node would pay on its clock for what all others find there.

    Returns:
        The bytes that were read; None where the data set has no folder, or the host's free memory does not hold
        it twice over: then every run reads it from where it lies, in every epoch.
    """
    info = dataset_info(dataset)
    place = locate.find(dataset, root) if info and info.folder else None
    written = manifest.read(place) if place else None
    if place is None or written is None:
        return None
    trees = [path for tree in written.trees for path in (place / tree).rglob("*")]
    paths = {path for path in [*trees, *(place / name for name in written.files)] if path.is_file()}
    if sum(path.stat().st_size for path in paths) > psutil.virtual_memory().available / 2:
        return None
    n_bytes = 0
    for path in sorted(paths):
        with path.open("rb", buffering=0) as file:
            while part := file.read(READ_BYTES):
                n_bytes += len(part)
    return n_bytes


def _is_whole(copy: Path, written: Manifest) -> bool:
    try:
        return manifest.read(copy) == written and not manifest.misfits(copy, written)
    except WorkloadError:
        return False


def _copy(source: Path, copy: Path, written: Manifest) -> None:
    shutil.rmtree(copy, ignore_errors=True)  # first, as there may be no room for two
    try:
        with files.writing_folder(copy) as draft:
            for tree in written.trees:
                shutil.copytree(source / tree, draft / tree, copy_function=shutil.copyfile)
            for name in written.files:
                if not (draft / name).exists():
                    (draft / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source / name, draft / name)
            manifest.write(draft, written)
    except (OSError, ResultsError) as error:
        free = shutil.disk_usage(copy.parent).free
        why = (error.strerror if isinstance(error, OSError) else "") or error
        raise WorkloadError(
            f"{written.dataset}: cannot be copied to {copy}: {why} ({free / 1e9:.1f} GB are free)",
            hint="leave scratch of the site empty, or name a larger place",
        ) from None
