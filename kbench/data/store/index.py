"""The index of a large data set: in which file each sample lies, at which byte, how many, of which class.

A file for each image, images in a tar, images packed one after another: to a reader all are the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from kbench import files
from kbench.errors import WorkloadError


class Names(Sequence[str]):
    """Names as one array of bytes that processes can share; a string is made when it is read.

    Objects would be copied into every process that reads data, as Python counts references in them.
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.text, self.ends = text, ends

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Pack names; they may be any that a file system has."""
        packed = [name.encode(errors="surrogateescape") for name in names]
        ends = np.cumsum([len(name) for name in packed], dtype=np.int64)
        return cls(np.frombuffer(b"".join(packed), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...

    def __getitem__(self, i: int | slice) -> str | list[str]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i = i % len(self)
        start = int(self.ends[i - 1]) if i else 0
        return self.text[start : int(self.ends[i])].tobytes().decode(errors="surrogateescape")


FOLDER = "kbench-index"
COLUMNS = ("file", "offset", "size", "label")
ORDER_SEED = 0  # of the one shuffle that gives samples their ids


class Location(NamedTuple):
    """Where a sample was found."""

    file: int  # number of the file that holds it
    offset: int  # [byte]
    size: int  # [byte]
    label: int


@dataclass(frozen=True)
class Index:
    """Samples by their ids: four (n,) int64 columns, and the names of the files, relative to the data set's folder."""

    names: Names
    file: NDArray[np.int64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


def shuffled(names: Sequence[str], found: Sequence[Location]) -> Index:
    """Number the samples in a random order that is always the same.

    They are found class by class, ties between samples go to the lower id, and a method would hide
    whole classes first.  numpy's RandomState is frozen: its shuffles do not change with versions.
    """
    columns = np.array(found, dtype=np.int64).reshape(-1, len(COLUMNS))
    return Index(Names.of(names), *columns[np.random.RandomState(ORDER_SEED).permutation(len(columns))].T.copy())


def write(place: Path, part: str, index: Index) -> dict[str, int]:
    """Write the index of a part; returns the sizes of its files [byte], by name relative to ``place``."""
    folder = place / FOLDER
    folder.mkdir(exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {name: getattr(index, name) for name in COLUMNS}
    arrays |= {"names": index.names.text, "name-ends": index.names.ends}
    sizes = {}
    for name, array in arrays.items():
        path = folder / f"{part}-{name}.npy"
        with files.writing(path) as draft, draft.open("wb") as file:
            np.save(file, array)
        sizes[f"{FOLDER}/{path.name}"] = path.stat().st_size
    return sizes


def read(place: Path, part: str) -> Index:
    """Read the index of a part; its columns are mapped into memory, once for all processes.

    Raises:
        WorkloadError: A file of it is missing or damaged.
    """
    path = place / FOLDER
    try:
        columns = [np.load(path / f"{part}-{name}.npy", mmap_mode="r") for name in COLUMNS]
        names = Names(*(np.load(path / f"{part}-{name}.npy", mmap_mode="r") for name in ("names", "name-ends")))
    except (OSError, ValueError, EOFError) as error:
        raise WorkloadError(
            f"{path}: the index of {part} cannot be read: {error}", hint="kbench data prepare"
        ) from None
    return Index(names, *columns)
