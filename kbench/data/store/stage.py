"""Stage a data set: copy it to storage of a node's own, whole or not at all, once per node."""

import shutil
from pathlib import Path

from kbench import files
from kbench.data.registry import dataset_info
from kbench.data.store import locate, manifest
from kbench.data.store.manifest import Manifest
from kbench.errors import ResultsError, WorkloadError


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
