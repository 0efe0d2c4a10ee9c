"""Small data sets as decoded uint8 arrays in .npy files: saved once, mapped into memory, verified.

Imports no torch before arrays are opened.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kbench import files
from kbench.data.store import manifest
from kbench.data.store.manifest import Manifest
from kbench.errors import WorkloadError

if TYPE_CHECKING:
    from kbench.data.loader import Arrays

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
AGAIN = "make it anew: kbench data prepare"


class LabelledImages(NamedTuple):
    """The training or the validation samples of a data set."""

    x: Pixels  # (n, c, h, w) in [0, 255]
    y: Labels  # (n,) in [0, n_classes)


class Content(NamedTuple):
    """Both parts of a data set, and what they were read from."""

    train: LabelledImages
    val: LabelledImages
    sources: dict[str, str | None]  # MD5 of the files that it was read from, by name
    checked: tuple[str, ...]  # what was looked at, in words


def save(folder: Path, dataset: str, content: Content, *, n_classes: int) -> Manifest:
    """Write the arrays of both parts into the folder of a data set, and their manifest last."""
    train, val, sources, checked = content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / manifest.NAME).unlink(missing_ok=True)
    arrays = {"train-x.npy": train.x, "train-y.npy": train.y, "val-x.npy": val.x, "val-y.npy": val.y}
    for name, array in arrays.items():
        with files.writing(folder / name) as draft, draft.open("wb") as file:
            np.save(file, np.ascontiguousarray(array))
    channels, height, width = train.x.shape[1:]
    written = Manifest(
        dataset=dataset,
        n_train=len(train.y),
        n_val=len(val.y),
        n_classes=n_classes,
        shape=(channels, height, width),
        checked=checked,
        sources=sources,
        files={name: (folder / name).stat().st_size for name in arrays},
        digests={name: manifest.digest(folder / name) for name in arrays},
    )
    return manifest.write(folder, written)


def load(place: Path | None) -> "tuple[Arrays, Arrays]":
    """Map what ``save`` wrote into memory: (training, validation).

    Raises:
        WorkloadError: A file cannot be read, or is not what the manifest says.
    """
    from torch import from_numpy

    from kbench.data.loader import Arrays

    assert place is not None, "its entry names a folder"
    written = manifest.read(place)
    if written is None:
        raise WorkloadError(f"{place} is not prepared", hint="run kbench data prepare where there is network")

    def part(name: str, n: int) -> Arrays:
        x = _memmap(place / f"{name}-x.npy", (n, *written.shape), np.dtype(np.uint8))
        y = _memmap(place / f"{name}-y.npy", (n,), np.dtype(np.int64))
        return Arrays(from_numpy(x), from_numpy(np.array(y)))

    return part("train", written.n_train), part("val", written.n_val)


def _memmap(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> np.ndarray:
    """An array that lies in the page cache once for all processes; a write would stay in this one."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError) as error:
        raise WorkloadError(f"{path} cannot be read: {error}", hint=AGAIN) from None
    if array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype} {array.shape}"
        raise WorkloadError(f"{path} holds {found}, its manifest says {dtype} {shape}", hint=AGAIN)
    return array


def verify(place: Path, written: Manifest, _workers: int, _report: Callable[[str], None]) -> list[str]:
    """Sentences: arrays that are not what they were when they were prepared."""
    return manifest.changed(place, written)
