"""The index of a large data set: names, shuffle, files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from kbench.data.store import index
from kbench.data.store.index import Names
from kbench.errors import WorkloadError

ODD = ["a.jpg", "", "train/b c/d.jpg", "späße/€.png", "new\nline", b"\xff\xfe.jpg".decode(errors="surrogateescape")]


def test_names_are_what_they_were_in_any_alphabet() -> None:
    names = Names.of(ODD)
    assert list(names) == ODD and names[-1] == ODD[-1] and names[1:3] == ODD[1:3] and len(names) == len(ODD)
    assert [names[i] for i in np.array([4, 0])] == [ODD[4], ODD[0]]
    with pytest.raises(IndexError):
        names[len(ODD)]
    assert list(Names.of([])) == []


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = [index.Location(i % 6, 10 * i, i, i % 3) for i in range(20)]
    made = index.shuffled(ODD, found)
    sizes = index.write(tmp_path, "train", made)
    assert sizes == {name: (tmp_path / name).stat().st_size for name in sizes}
    read = index.read(tmp_path, "train")
    assert list(read.names) == ODD and len(read) == 20
    rows = zip(read.file.tolist(), read.offset.tolist(), read.size.tolist(), read.label.tolist(), strict=True)
    assert sorted(rows) == sorted(map(tuple, found))


def test_a_million_names_take_no_more_than_their_bytes(tmp_path: Path) -> None:
    made = index.shuffled([f"train/n{i % 1000:08d}/{i:08d}.JPEG" for i in range(100_000)], [])
    index.write(tmp_path, "train", made)
    read = index.read(tmp_path, "train")
    assert read.names[77_777] == "train/n00000777/00077777.JPEG"
    assert sys.getsizeof(read.names.__dict__) < 1000 and isinstance(read.names.text, np.memmap)


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=f"{index.FOLDER}: the index of val cannot be read"):
        index.read(tmp_path, "val")
