"""Folders of images: ``train/CLASS/*`` and ``val/CLASS/*``; classes are numbered in the order of their names."""

import os
from collections.abc import Iterator
from pathlib import Path

from kbench.data.store import index
from kbench.data.store.images import ENDINGS, PARTS, save
from kbench.data.store.index import Index, Location
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import WorkloadError


def prepare(job: PrepareJob) -> Manifest:
    """Index the images of both parts where they lie."""
    job.link_folders(*PARTS)
    classes = subfolders(job.folder / "train")
    unknown = sorted(set(subfolders(job.folder / "val")) - set(classes))
    if unknown:
        raise WorkloadError(
            f"{job.folder / 'val' / unknown[0]}: no class of that name in {job.folder / 'train'}",
            hint="val must be sorted into the classes of train",
        )
    parts = {part: scan(job.folder, part, classes) for part in PARTS}
    return save(job, parts, n_classes=len(classes), trees=PARTS)


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted."""
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if not found:
        raise WorkloadError(f"{folder} holds no folders of classes")
    return found


def scan(place: Path, part: str, classes: list[str]) -> Index:
    """Index ``place``/``part``/CLASS/*, folders in folders included."""
    names: list[str] = []
    found: list[Location] = []
    for label, name in enumerate(classes):
        before = len(names)
        for path, size in images(place / part / name):
            found.append(Location(len(names), 0, size, label))
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
