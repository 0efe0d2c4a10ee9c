"""DeepCAM's files as published: HDF5, a sample each, with the channels' ranges in stats.h5."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kbench.data.views.spec import View
from kbench.errors import WorkloadError

if TYPE_CHECKING:
    import h5py

FIELDS, LABELS = "climate/data", "climate/labels_0"  # (h, w, c) float32; (h, w), background, cyclone, river
LOWEST, HIGHEST = "climate/minval", "climate/maxval"  # (c,), over the training set, in stats.h5
N_CLASSES = 3
AGAIN = "copy it again from the source, and let kbench data check read all of them"

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Ranges:
    """What turns each channel's training range into [0, 1]: (c,) float32."""

    shift: Floats
    scale: Floats


class Climate:
    """Samples read one by one: fields scaled to their training range, and a class for each pixel."""

    def __init__(self, folder: Path, names: Sequence[str], ranges: Ranges, shape: tuple[int, int, int]) -> None:
        self.folder, self.names, self.ranges = folder, names, ranges
        self.shape = shape  # channels, height, width

    def __len__(self) -> int:
        return len(self.names)

    def read(self, sample: int, view: View) -> tuple[Tensor, Tensor]:
        """The fields ((c, h, w) float32) and classes ((h, w) int64) of a sample; nothing about it is random.

        Raises WorkloadError with the file's name when it can't be read, or has another shape.
        """
        path, (n_channels, height, width) = self.folder / self.names[sample], self.shape
        fields, labels = read_file(path)
        if fields.shape != (height, width, n_channels):
            raise WorkloadError(misshapen(path, fields.shape, (height, width, n_channels)), hint=AGAIN)
        fields -= self.ranges.shift
        fields *= self.ranges.scale
        return torch.from_numpy(fields).permute(2, 0, 1), torch.from_numpy(labels)


def read_file(path: Path) -> tuple[Floats, Integers]:
    """The raw fields ((h, w, c) float32) and the classes ((h, w) int64) of a file.

    Raises WorkloadError when it is missing, truncated, of another shape or type, or has classes beyond 2.
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


def shape_of(path: Path) -> tuple[int, int, int]:
    """Height, width [pixel] and number of channels of a file, without reading its numbers.

    Raises WorkloadError as ``read_file`` does, but for classes; HDF5 itself finds a file that was cut short.
    """
    with _opened(path) as file:
        height, width, n_channels = _dataset(file, FIELDS, path, n_dims=3).shape
        _same_size(path, _dataset(file, LABELS, path, n_dims=2).shape, (height, width, n_channels))
    return height, width, n_channels


def ranges(path: Path) -> Ranges:
    """The channels' ranges in ``stats.h5``.  Raises WorkloadError when one is empty or not finite."""
    with _opened(path) as file:
        lowest = _dataset(file, LOWEST, path, n_dims=1)[...].astype(np.float64)
        highest = _dataset(file, HIGHEST, path, n_dims=1)[...].astype(np.float64)
    if lowest.shape != highest.shape or not np.all(np.isfinite(highest - lowest)) or not np.all(highest > lowest):
        raise WorkloadError(
            f"{path}: {HIGHEST} must be above {LOWEST} in every channel, got {lowest.tolist()} and {highest.tolist()}",
            hint=AGAIN,
        )
    return Ranges(lowest.astype(np.float32), (1 / (highest - lowest)).astype(np.float32))


def problem_of(path: Path, shape: tuple[int, int, int]) -> str | None:
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


def misshapen(path: Path, found: tuple[int, ...], expected: tuple[int, int, int]) -> str:
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
