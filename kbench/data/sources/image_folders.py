"""Image folders: ``train/CLASS/*`` and ``val/CLASS/*``; classes are numbered in the order of their names."""

import os
from collections.abc import Iterator
from pathlib import Path

from kbench.data.image_reader import ENDINGS
from kbench.data.store import index
from kbench.data.store.index import Found, Index
from kbench.data.store.indexed import PARTS, keep
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob, linked
from kbench.errors import WorkloadError


def prepare(work: PrepareJob) -> Manifest:
    """Index the images of both parts where they lie."""
    linked(work, *PARTS)
    classes = subfolders(work.folder / "train")
    strangers = sorted(set(subfolders(work.folder / "val")) - set(classes))
    if strangers:
        raise WorkloadError(
            f"{work.folder / 'val' / strangers[0]}: no class of that name in {work.folder / 'train'}",
            hint="val must be sorted into the classes of train",
        )
    parts = {part: scan(work.folder, part, classes) for part in PARTS}
    return keep(work, parts, n_classes=len(classes), trees=PARTS)


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted."""
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if not found:
        raise WorkloadError(f"{folder} holds no folders of classes")
    return found


def scan(place: Path, part: str, classes: list[str]) -> Index:
    """Index ``place``/``part``/CLASS/*, folders in folders included."""
    names: list[str] = []
    found: list[Found] = []
    for label, name in enumerate(classes):
        before = len(names)
        for path, size in images(place / part / name):
            found.append(Found(len(names), 0, size, label))
            names.append(path.relative_to(place).as_posix())
        if len(names) == before and part == "train":
            raise WorkloadError(f"{place / part / name} holds no images ({' '.join(ENDINGS)})")
    return index.shuffled(names, found)


def images(folder: Path) -> Iterator[tuple[Path, int]]:
    """The images below a folder, sorted by name, with their sizes [byte]."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from images(Path(entry.path))
            elif entry.name.lower().endswith(ENDINGS) and not entry.name.startswith("."):
                yield Path(entry.path), entry.stat().st_size
