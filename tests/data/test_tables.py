"""Parquet tables, and what Hugging Face's own library writes, are data sets; what cannot be told is refused."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from kbench.data.loader import Arrays, SampleReader
from kbench.data.store.prepare import open_dataset, prepare
from kbench.data.views.spec import ViewSpec
from kbench.errors import WorkloadError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (30, 8, 8)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (30, 8, 8, 3)).astype(np.uint8)
ALL = slice(None)
LABELS = [int(label) for label in RNG.permutation(np.arange(30) % 3)]


def png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "png")
    return written.getvalue()


def write(path: Path, rows: slice = ALL, **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"image": [png(each) for each in GREY], "label": LABELS} | columns
    pq.write_table(pa.table({name: values[rows] for name, values in whole.items() if values is not None}), path)


def both(folder: Path, **columns: object) -> None:
    write(folder / "train-00000-of-00002.parquet", slice(10), **columns)
    write(folder / "train-00001-of-00002.parquet", slice(10, 20), **columns)
    write(folder / "validation.parquet", slice(20, 30), **columns)


def test_row_i_of_a_table_is_sample_i(ready: Callable[..., object], tmp_path: Path) -> None:
    both(tmp_path / "birds")
    ready("parquet:birds", tmp_path)
    opened = open_dataset("parquet:birds", str(tmp_path))
    assert isinstance(opened.train, Arrays) and opened.info.shape == (1, 8, 8) and opened.info.n_classes == 3
    assert torch.equal(opened.train.x[:, 0], torch.from_numpy(GREY[:20]))
    assert torch.equal(opened.val.x[:, 0], torch.from_numpy(GREY[20:]))
    assert opened.train.y.tolist() == LABELS[:20] and opened.val.y.tolist() == LABELS[20:]


@pytest.mark.parametrize(
    "images", [COLOUR.tolist(), COLOUR.transpose(0, 3, 1, 2).tolist(), [{"bytes": png(each)} for each in COLOUR]]
)
def test_colour_is_read_from_lists_and_from_encoded_images(
    images: list[object], ready: Callable[..., object], tmp_path: Path
) -> None:
    both(tmp_path / "birds", image=images)
    ready("parquet:birds", tmp_path)
    train = open_dataset("parquet:birds", str(tmp_path)).train
    assert isinstance(train, Arrays) and torch.equal(train.x, torch.from_numpy(COLOUR[:20].transpose(0, 3, 1, 2)))


def test_words_are_numbered_in_their_order(ready: Callable[..., object], tmp_path: Path) -> None:
    both(tmp_path / "birds", label=[("wren", "auk", "kite")[label] for label in LABELS])
    ready("parquet:birds", tmp_path)
    train = open_dataset("parquet:birds", str(tmp_path)).train
    assert isinstance(train, Arrays) and train.y.tolist() == [(2, 0, 1)[label] for label in LABELS[:20]]


def test_images_of_several_sizes_are_kept_as_files(ready: Callable[..., object], tmp_path: Path) -> None:
    images = [png(np.repeat(each, 1 + number % 2, 0)) for number, each in enumerate(COLOUR)]
    both(tmp_path / "birds", image=images)
    with pytest.raises(WorkloadError, match="row 1 of train: images are of several sizes, 8x8 and 16x8") as error:
        ready("parquet:birds", tmp_path)
    assert "kbench data prepare shards:birds --from DIR" in error.value.hint
    ready("shards:birds", tmp_path)
    opened = open_dataset("shards:birds", str(tmp_path))
    assert isinstance(opened.train, SampleReader) and (len(opened.train), opened.info.n_classes) == (20, 3)
    originals = {COLOUR[i].tobytes(): LABELS[i] for i in range(0, 20, 2)}
    reader, found = opened.train.reader, 0
    for sample in range(20):
        pixels = np.asarray(reader.image(sample))
        if pixels.shape[0] == 8:
            found += originals[pixels.tobytes()] == int(reader.labels[sample])
    assert found == 10
    assert next(iter(opened.train.batches([torch.tensor([3])], ViewSpec(size=16))))[1].shape == (1, 3, 16, 16)


def test_what_the_datasets_library_saves_and_what_it_caches_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "home" / "datasets"))
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    features = datasets.Features(img=datasets.Image(), label=datasets.ClassLabel(names=["a", "b", "c", "d"]))

    def part(rows: slice) -> object:
        content = {"img": [Image.fromarray(each) for each in COLOUR[rows]], "label": LABELS[rows]}
        return datasets.Dataset.from_dict(content, features=features)

    saved = datasets.DatasetDict(train=part(slice(20)), test=part(slice(20, 30)))
    saved.save_to_disk(tmp_path / "saved", num_shards={"train": 2, "test": 1})
    snapshot = tmp_path / "home" / "hub" / "datasets--me--birds" / "snapshots" / "c0ffee"
    for name, each in saved.items():
        (snapshot / "data").mkdir(parents=True, exist_ok=True)
        each.to_parquet(snapshot / "data" / f"{name}-00000-of-00001.parquet")
    seen, identities = [], set()
    for given in (tmp_path / "saved", None):
        root = str(tmp_path / ("given" if given else "cached"))
        prepare("hf:me/birds", root=root, given=given, download=False, workers=1, report=seen.append)
        opened = open_dataset("hf:me/birds", root)
        assert isinstance(opened.train, Arrays) and isinstance(opened.val, Arrays)
        assert torch.equal(opened.train.x, torch.from_numpy(COLOUR[:20].transpose(0, 3, 1, 2)))
        assert opened.val.y.tolist() == LABELS[20:] and opened.info.n_classes == 4
        identities.add(opened.identity)
    assert len(identities) == 1, "the same images and labels"
    assert sum("its test part is validated on" in line for line in seen) == 2


def test_sorted_rows_are_said(tmp_path: Path) -> None:
    both(tmp_path / "birds", label=[i // 7 if i < 20 else 0 for i in range(30)])
    seen: list[str] = []
    prepare("parquet:birds", root=str(tmp_path), given=None, download=False, workers=1, report=seen.append)
    assert any("rows of train are sorted by class" in line for line in seen)


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"label": None}, r"no column of labels .*; it has image \(binary\)"),
        ({"label": None, "a": LABELS, "b": LABELS}, "several columns can be the labels: a, b"),
        ({"image": None}, "no column of images"),
        ({"mask": [png(each) for each in GREY]}, "several columns can be the images: image, mask"),
        ({"image": [b"no image"] * 30}, "row 0 of train is damaged"),
        ({"image": [{"bytes": None, "path": "a.png"}] * 30}, "row 0 of train holds only the path a.png"),
        ({"image": (COLOUR.astype(int) * 2).tolist()}, "row 0 of train must be .* of 0 to 255, got int64"),
        ({"label": [-1] * 30}, "row 0 of train must have a class, counted from 0, got -1"),
        ({"label": [None, *LABELS[1:]]}, "row 0 of train must have a class, counted from 0, got None"),
        ({"label": [0] * 20 + [7] * 10}, "val has a class 7, the classes of train end at 0"),
        ({"label": ["a"] * 20 + ["b"] * 10}, "row 0 of val has the label 'b', which no row of train has"),
    ],
)
def test_a_table_that_cannot_be_told_is_refused(
    columns: dict, message: str, ready: Callable[..., object], tmp_path: Path
) -> None:
    both(tmp_path / "birds", **columns)
    with pytest.raises(WorkloadError, match=message):
        ready("parquet:birds", tmp_path)


def test_a_torn_file_and_missing_or_doubled_parts_are_refused(ready: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="no train.* in ") as error:
        ready("hf:me/birds", tmp_path)
    assert "hf download --repo-type dataset me/birds" in error.value.hint
    write(tmp_path / "birds" / "train.parquet", slice(20))
    with pytest.raises(WorkloadError, match="has a part train and none to validate on"):
        ready("parquet:birds", tmp_path)
    for name in ("a", "b"):
        both(tmp_path / "finches" / name)
    with pytest.raises(WorkloadError, match="train lies in .*a and .*b"):
        ready("parquet:finches", tmp_path)
    both(tmp_path / "terns")
    path = tmp_path / "terns" / "validation.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WorkloadError, match="validation.parquet cannot be read"):
        ready("parquet:terns", tmp_path)
