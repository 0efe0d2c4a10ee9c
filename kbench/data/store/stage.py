"""Copying a data set to storage of a node's own: whole or not at all, once per node."""

import shutil
from pathlib import Path

from kbench import files
from kbench.data import dataset_info
from kbench.data.store import locate, manifest
from kbench.data.store.manifest import Manifest
from kbench.errors import ResultsError, WorkloadError


def stage(dataset: str, root: str, to: Path) -> str:
    """Copy what training reads of a data set below ``to``, and return the root that it then has.

    One process of a node copies, the others wait for it; what is there already is left.  A data set that
    needs no folder is not copied, and ``root`` stays.  Raises WorkloadError where the data is not ready,
    or ``to`` has no room for it.
    """
    found = dataset_info(dataset)
    if found is None or not found.folder:
        return root
    wrong = locate.problems(dataset, root)
    if wrong:
        raise WorkloadError(wrong[0])
    source = locate.find(dataset, root)
    assert source is not None, "there are no problems"
    written, there = manifest.read(source), to / found.folder
    assert written is not None, "there are no problems"
    to.mkdir(parents=True, exist_ok=True)
    with files.locked(to / f".{found.folder}.lock"):  # one process of this node at a time
        if not _is_whole(there, written):
            _copy(source, there, written)
    return str(to)


def _is_whole(there: Path, written: Manifest) -> bool:
    try:
        return manifest.read(there) == written and not manifest.misfits(there, written)
    except WorkloadError:
        return False


def _copy(source: Path, there: Path, written: Manifest) -> None:
    draft = there.with_name(f".{there.name}.part")
    for left in (draft, there):
        shutil.rmtree(left, ignore_errors=True)
    try:
        for tree in written.trees:
            shutil.copytree(source / tree, draft / tree, copy_function=shutil.copyfile)
        for name in written.files:
            if not (draft / name).exists():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, draft / name)
        manifest.write(draft, written)
        draft.rename(there)
    except (OSError, ResultsError) as error:
        free = shutil.disk_usage(there.parent).free
        shutil.rmtree(draft, ignore_errors=True)
        why = (error.strerror if isinstance(error, OSError) else "") or error
        raise WorkloadError(
            f"{written.dataset}: cannot be copied to {there}: {why} ({free / 1e9:.1f} GB are free)",
            hint="leave scratch of the site empty, or name a larger place",
        ) from None
