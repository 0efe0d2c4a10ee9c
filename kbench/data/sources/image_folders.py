"""Folders of images: ``train/CLASS/*`` and ``val/CLASS/*``; classes are numbered in the order of their names."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kbench.data.store import index
from kbench.data.store.images import AGAIN, ENDINGS, PARTS, save
from kbench.data.store.index import Index, Location
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import WorkloadError
from kbench.files import reason


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
    report_left_out(job)
    return save(job, parts, n_classes=len(classes), trees=PARTS)


def subfolders(folder: Path, *, required: bool = True) -> list[str]:
    """The names of the folders in a folder, sorted; raises WorkloadError where some are required and none is there."""
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if required and not found:
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
    for entry in _files(folder):
        if is_image(entry.name):
            try:
                yield Path(entry.path), entry.stat().st_size
            except OSError as error:  # a link to nothing
                raise WorkloadError(f"{entry.path} cannot be read: {reason(error)}", hint=AGAIN) from None


def is_image(name: str) -> bool:
    """Whether a file of that name is taken for an image."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def report_left_out(job: PrepareJob, *, flat: bool = False) -> None:
    """Say how many files of a data set are none of its samples, and how they end.

    Args:
        job: What is being made ready.
        flat: Whether images of val lie in the folder itself, and not in folders of classes.
    """
    for part in PARTS:
        place = job.folder / part
        in_class = {entry.path for name in subfolders(place, required=False) for entry in _files(place / name)}
        left = Counter(
            "images in no class" if is_image(entry.name) else Path(entry.name).suffix.lower() or "no ending"
            for entry in _files(place)
            if not (is_image(entry.name) and (entry.path in in_class or flat and part == "val"))
        )
        if left:
            endings = ", ".join(f"{ending} {n:,}" for ending, n in left.most_common(8))
            job.report(
                f"warning: {place}: {left.total():,} files were left out, as images end in "
                f"{' '.join(ENDINGS)} and lie in folders of classes: {endings}"
            )


def _files(folder: Path, above: tuple[str, ...] = ()) -> Iterator["os.DirEntry[str]"]:
    """The files below a folder, sorted by name; links are followed."""
    if not folder.is_dir():
        return
    real = os.path.realpath(folder)
    if real in above:
        raise WorkloadError(f"{folder} is a link to a folder that it lies in", hint="remove it")
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _files(Path(entry.path), (*above, real))
            else:
                yield entry
