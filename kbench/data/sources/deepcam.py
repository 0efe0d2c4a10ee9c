"""DeepCAM as published: an HDF5 file for each sample, and the channels' ranges in stats.h5.

Every file is opened once when the set is prepared; the samples are numbered and indexed, and read where they lie.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kbench.data.loader import SampleReader
from kbench.data.store import index, manifest
from kbench.data.store.index import Index, Location
from kbench.data.store.manifest import Manifest
from kbench.data.store.parallel import in_order
from kbench.data.store.prepare_job import PrepareJob
from kbench.data.views.spec import ViewSpec
from kbench.errors import WorkloadError

if TYPE_CHECKING:
    import h5py

FIELDS, LABELS = "climate/data", "climate/labels_0"  # (h, w, c) float32; (h, w), background, cyclone, river
LOWEST, HIGHEST = "climate/minval", "climate/maxval"  # (c,), over the training set, in stats.h5
N_CLASSES = 3
PARTS = {"train": "train", "val": "validation"}  # folders; there is a test/ too, which nobody reads
STATS = "stats.h5"
SPOT_CHECKS = 64  # files of each part that are looked for before every run
CHUNK = 64  # files that a process opens at a time
AGAIN = "copy it again from the source, and let kbench data check read all of them"

Shape = tuple[int, int, int]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Ranges:
    """What turns each channel's training range into [0, 1]: (c,) float32."""

    shift: Floats
    scale: Floats


class Climate:
    """Samples read one by one: fields scaled to their training range, and a class for each pixel."""

    def __init__(self, folder: Path, names: Sequence[str], ranges: Ranges, shape: Shape) -> None:
        self.folder, self.names, self.ranges = folder, names, ranges
        self.shape = shape  # channels, height, width

    def __len__(self) -> int:
        return len(self.names)

    def read(self, sample: int, view: ViewSpec) -> tuple[Tensor, Tensor]:
        """Read one sample; nothing about it is random.

        Returns:
            Fields (c, h, w) float32, [0, 1] over the training set, and the classes of the pixels, (h, w) int64.

        Raises:
            WorkloadError: The file cannot be read, or has another shape; the message names it.
        """
        path, (n_channels, height, width) = self.folder / self.names[sample], self.shape
        fields, labels = read_file(path)
        if fields.shape != (height, width, n_channels):
            raise WorkloadError(misshapen(path, fields.shape, (height, width, n_channels)), hint=AGAIN)
        fields -= self.ranges.shift
        fields *= self.ranges.scale
        return torch.from_numpy(fields).permute(2, 0, 1), torch.from_numpy(labels)


def read_file(path: Path) -> tuple[Floats, Integers]:
    """Read the raw fields, (h, w, c) float32, and the classes of the pixels, (h, w) int64, of a file.

    Raises:
        WorkloadError: It is missing, truncated, of another shape or type, or has classes beyond 2.
    """
    with _opened(path) as file:
        fields: Floats = _dataset(file, FIELDS, path, n_dims=3)[...].astype(np.float32, copy=False)
        raw = _dataset(file, LABELS, path, n_dims=2)[...]
    if raw.dtype.kind == "f" and not np.array_equal(raw, np.rint(raw)):
        raise WorkloadError(f"{path}: {LABELS} holds numbers that are no classes", hint=AGAIN)
    labels: Integers = raw.astype(np.int64)
    _same_size(path, labels.shape, fields.shape)
    lowest, highest = labels.min(), labels.max()
    if lowest < 0 or highest >= N_CLASSES:
        stray = lowest if lowest < 0 else highest
        raise WorkloadError(f"{path}: class {stray} in {LABELS}, but there are only 0, 1 and 2", hint=AGAIN)
    return fields, labels


def shape_of(path: Path) -> Shape:
    """Height, width [pixel] and number of channels of a file, without reading its numbers.

    Raises WorkloadError as ``read_file`` does, but for classes; HDF5 itself finds a file that was cut short.
    """
    with _opened(path) as file:
        height, width, n_channels = _dataset(file, FIELDS, path, n_dims=3).shape
        _same_size(path, _dataset(file, LABELS, path, n_dims=2).shape, (height, width, n_channels))
    return height, width, n_channels


def ranges(path: Path) -> Ranges:
    """Read the channels' ranges in ``stats.h5``.  Raises WorkloadError when one is empty or not finite."""
    with _opened(path) as file:
        lowest = _dataset(file, LOWEST, path, n_dims=1)[...].astype(np.float64)
        highest = _dataset(file, HIGHEST, path, n_dims=1)[...].astype(np.float64)
    if lowest.shape != highest.shape or not np.all(np.isfinite(highest - lowest)) or not np.all(highest > lowest):
        raise WorkloadError(
            f"{path}: {HIGHEST} must be above {LOWEST} in every channel, got {lowest.tolist()} and {highest.tolist()}",
            hint=AGAIN,
        )
    return Ranges(lowest.astype(np.float32), (1 / (highest - lowest)).astype(np.float32))


def problem_of(path: Path, shape: Shape) -> str | None:
    """What is wrong with a file of which (height, width, channels) are expected, read in full; None if nothing is."""
    try:
        fields, _ = read_file(path)
    except WorkloadError as error:
        return error.message
    if fields.shape != shape:
        return misshapen(path, fields.shape, shape)
    if not np.isfinite(fields).all():
        return f"{path}: {FIELDS} holds values that are not finite"
    return None


def misshapen(path: Path, found: tuple[int, ...], expected: Shape) -> str:
    """The sentence for a file of another shape."""
    return f"{path}: {FIELDS} has shape {found}, but {expected} is expected, as in the rest of the set"


@contextmanager
def _opened(path: Path) -> Iterator["h5py.File"]:
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:  # parallel file systems often refuse locks
            yield file
    except FileNotFoundError:
        raise WorkloadError(f"{path}: no such file", hint=AGAIN) from None
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise WorkloadError(f"{path}: not readable as HDF5, perhaps cut short ({reason})", hint=AGAIN) from None


def _dataset(file: "h5py.File", name: str, path: Path, *, n_dims: int) -> "h5py.Dataset":
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise WorkloadError(f"{path}: holds no {name}, which DeepCAM's files do", hint=AGAIN)
    if found.ndim != n_dims or found.dtype.kind not in "fiu" or 0 in found.shape:
        raise WorkloadError(
            f"{path}: {name} must hold numbers in {n_dims} dimensions, got {found.dtype} of shape {found.shape}",
            hint=AGAIN,
        )
    return found


def _same_size(path: Path, labels: tuple[int, ...], fields: tuple[int, ...]) -> None:
    if labels != fields[:2]:
        raise WorkloadError(f"{path}: {LABELS} has shape {labels}, but {FIELDS} has {fields}", hint=AGAIN)


def prepare(job: PrepareJob) -> Manifest:
    """Open every file of DeepCAM where it lies; the index and the manifest come last.

    Raises:
        WorkloadError: Files do not fit; the message names one.  ``verify`` reads all their numbers too.
    """
    job.link_folders(*PARTS.values())
    stats = job.find(STATS)
    if stats is None:
        raise WorkloadError(f"{job.dataset}: no {STATS} in {job.searched}", hint=job.info.get)
    job.link(stats, STATS)
    return index_files(job)


def index_files(job: PrepareJob) -> Manifest:
    """Check and index the files in the data set's folder."""
    folder = job.folder
    (folder / manifest.NAME).unlink(missing_ok=True)
    paths = {part: _files(folder / PARTS[part]) for part in PARTS}
    every = [path for part in PARTS for path in paths[part]]
    job.report(f"{job.dataset}: opening {len(every):,} files in {folder}")
    shapes = list(in_order(shape_or_problem, every, workers=job.workers, chunk=CHUNK))
    height, width, n_channels = _common_shape(every, shapes)
    n_ranges = len(ranges(folder / STATS).shift)
    if n_ranges != n_channels:
        text = f"{folder / STATS}: ranges of {n_ranges} channels, but the samples have {n_channels}"
        raise WorkloadError(text, hint=AGAIN)
    files = {STATS: (folder / STATS).stat().st_size}
    for part, found in paths.items():
        files |= _indexed(folder, part, found)
    written = Manifest(
        dataset=job.dataset,
        n_train=len(paths["train"]),
        n_val=len(paths["val"]),
        n_classes=N_CLASSES,
        shape=(n_channels, height, width),
        checked=("that every file opens", "shapes and types of fields and labels", "ranges of the channels"),
        files=files,
        trees=tuple(PARTS.values()),
    )
    return manifest.write(folder, written)


def load(place: Path | None) -> tuple[SampleReader, SampleReader]:
    """Open what ``prepare`` indexed: (training, validation)."""
    written = manifest.read(place) if place else None
    assert place is not None and written is not None, "it was prepared"
    scale = ranges(place / STATS)
    train, val = (SampleReader(Climate(place, _names(index.read(place, part)), scale, written.shape)) for part in PARTS)
    return train, val


def verify(place: Path, written: Manifest, workers: int, report: Callable[[str], None]) -> list[str]:
    """Sentences: files that changed since the set was prepared, and what is wrong in the others, each read in full."""
    wrong = manifest.changed(place, written)
    if wrong:
        return wrong
    n_channels, height, width = written.shape
    names = [name for part in PARTS for name in index.read(place, part).names]
    report(f"{written.dataset}: reading {len(names):,} files in {place}")
    check = partial(problem_of, shape=(height, width, n_channels))
    sentences = in_order(check, (place / name for name in names), workers=workers)
    return [sentence for sentence in sentences if sentence is not None]


def shape_or_problem(path: Path) -> Shape | str:
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
    found = [Location(number, 0, path.stat().st_size, 0) for number, path in enumerate(paths)]
    order = index.shuffled([path.relative_to(folder).as_posix() for path in paths], found)
    spots = zip(_names(order)[:SPOT_CHECKS], order.size[:SPOT_CHECKS].tolist(), strict=True)
    return index.write(folder, part, order) | dict(spots)


def _names(order: Index) -> list[str]:
    """The files of the samples, by their ids."""
    return [order.names[number] for number in order.file]


def _common_shape(paths: list[Path], found: list[Shape | str]) -> Shape:
    """The shape of most files.  Raises WorkloadError with the files that differ or can't be opened."""
    shapes = Counter(shape for shape in found if not isinstance(shape, str))
    common = shapes.most_common(1)[0][0] if shapes else (0, 0, 0)
    wrong = [
        shape if isinstance(shape, str) else misshapen(path, shape, common)
        for path, shape in zip(paths, found, strict=True)
        if shape != common
    ]
    if wrong:
        more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
        raise WorkloadError(wrong[0] + more, hint=AGAIN)
    return common
