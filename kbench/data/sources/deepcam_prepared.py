"""DeepCAM made ready: every file opened once, the samples numbered and indexed."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import kbench
from kbench.data.loader import SampleReader
from kbench.data.sources.deepcam import AGAIN, N_CLASSES, Climate, misshapen, problem_of, ranges, shape_of
from kbench.data.store import index, manifest
from kbench.data.store.index import Found, Index
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob, linked
from kbench.errors import WorkloadError

PARTS = {"train": "train", "val": "validation"}  # folders; there is a test/ too, which nobody reads
STATS = "stats.h5"
SPOT_CHECKS = 64  # files of each part that are looked for before every run
T = TypeVar("T")


def prepare(work: PrepareJob) -> Manifest:
    """Open every file of DeepCAM where it lies; the index and the manifest come last.

    Raises WorkloadError with the names of files that don't fit.  ``verify`` reads all their numbers too.
    """
    linked(work, *PARTS.values())
    stats = work.find(STATS)
    if stats is None:
        raise WorkloadError(f"{work.dataset}: no {STATS} in {', '.join(map(str, work.look_in))}", hint=work.card.get)
    if stats != work.folder / STATS:
        (work.folder / STATS).symlink_to(stats.resolve())
    return enlist(work)


def enlist(work: PrepareJob) -> Manifest:
    """Check and index the files in ``work.folder``."""
    folder = work.folder
    (folder / manifest.NAME).unlink(missing_ok=True)
    paths = {part: _files(folder / PARTS[part]) for part in PARTS}
    every = [path for part in PARTS for path in paths[part]]
    work.tell(f"{work.dataset}: opening {len(every):,} files in {folder}")
    height, width, n_channels = _common_shape(every, _mapped(glance, every, work.workers))
    _check_stats(folder / STATS, n_channels)
    files = {STATS: (folder / STATS).stat().st_size}
    for part, found in paths.items():
        files |= _indexed(folder, part, found)
    made = Manifest(
        dataset=work.dataset,
        n_train=len(paths["train"]),
        n_val=len(paths["val"]),
        n_classes=N_CLASSES,
        shape=(n_channels, height, width),
        checked=("that every file opens", "shapes and types of fields and labels", "ranges of the channels"),
        files=files,
        trees=tuple(PARTS.values()),
        kbench_version=kbench.__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest.write(folder, made)
    return made


def load(place: Path | None) -> tuple[SampleReader, SampleReader]:
    """Open both parts: (training, validation)."""
    written = manifest.read(place) if place else None
    assert place is not None and written is not None, "nobody opens what was not prepared"
    scale = ranges(place / STATS)
    train, val = (SampleReader(Climate(place, _names(index.read(place, part)), scale, written.shape)) for part in PARTS)
    return train, val


def verify(place: Path, written: Manifest, workers: int, tell: Callable[[str], None]) -> list[str]:
    """Sentences: files that changed since the set was prepared, and what is wrong in the others, each read in full."""
    wrong = manifest.changed(place, written)
    if wrong:
        return wrong
    n_channels, height, width = written.shape
    names = [name for part in PARTS for name in index.read(place, part).names]
    tell(f"{written.dataset}: reading {len(names):,} files in {place}")
    look = partial(problem_of, shape=(height, width, n_channels))
    return [sentence for sentence in _mapped(look, [place / name for name in names], workers) if sentence is not None]


def glance(path: Path) -> tuple[int, int, int] | str:
    """Height, width and channels of a file, without reading its numbers, or what is wrong with it."""
    try:
        return shape_of(path)
    except WorkloadError as error:
        return error.message


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix == ".h5")
    if not found:
        raise WorkloadError(
            f"{folder}: no .h5 files found", hint="DeepCAM's folder holds train/, validation/ and stats.h5"
        )
    return found


def _indexed(folder: Path, part: str, paths: list[Path]) -> dict[str, int]:
    """Number the samples and keep their index; returns the sizes of its files, and of some samples."""
    found = [Found(number, 0, path.stat().st_size, 0) for number, path in enumerate(paths)]
    order = index.shuffled([path.relative_to(folder).as_posix() for path in paths], found)
    spots = zip(_names(order)[:SPOT_CHECKS], order.size[:SPOT_CHECKS].tolist(), strict=True)
    return index.write(folder, part, order) | dict(spots)


def _names(order: Index) -> list[str]:
    """The files of the samples, by their ids."""
    return [order.names[number] for number in order.file]


def _common_shape(paths: list[Path], found: list[tuple[int, int, int] | str]) -> tuple[int, int, int]:
    """The shape of most files.  Raises WorkloadError with the files that differ or can't be opened."""
    shapes = Counter(shape for shape in found if not isinstance(shape, str))
    common = shapes.most_common(1)[0][0] if shapes else (0, 0, 0)
    _refuse(
        shape if isinstance(shape, str) else misshapen(path, shape, common)
        for path, shape in zip(paths, found, strict=True)
        if shape != common
    )
    return common


def _refuse(found: Iterable[str]) -> None:
    sentences = list(found)
    if sentences:
        more = f" (and {len(sentences) - 1:,} more)" if len(sentences) > 1 else ""
        raise WorkloadError(sentences[0] + more, hint=AGAIN)


def _check_stats(path: Path, n_channels: int) -> None:
    n_ranges = len(ranges(path).shift)
    if n_ranges != n_channels:
        raise WorkloadError(f"{path}: ranges of {n_ranges} channels, but the samples have {n_channels}", hint=AGAIN)


def _mapped(look: Callable[[Path], T], paths: list[Path], workers: int) -> list[T]:
    if workers == 1:
        return [look(path) for path in paths]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(look, paths, chunksize=64))
