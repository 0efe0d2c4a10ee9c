"""Corrupt, truncated, missing and wrong-shape data: one sentence that names the file, before any training."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from kbench.data import registry
from kbench.data.sources import mnist
from kbench.data.store import locate, prepare
from kbench.data.store.manifest import NAME, Manifest
from kbench.errors import WorkloadError

Put = Callable[..., Path]
Ready = Callable[[str, Path], Manifest]
Spoil = Callable[[Path, ModuleType], None]


def cut(path: Path, share: float = 0.6) -> None:
    """Keep the first part of a file."""
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])


def garbled(path: Path) -> None:
    """Change bytes in the middle of a file."""
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 200] = b"\xa5" * len(raw[middle : middle + 200])
    path.write_bytes(bytes(raw))


def cifar_entry(path: Path, formats: ModuleType, **changed: object) -> None:
    whole = {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 3], "filenames": [], "batch_label": "x"}
    path.write_bytes(formats.pickled({k: v for k, v in (whole | changed).items() if v is not None}))


def batch(folder: Path) -> Path:
    return folder / "cifar-10-batches-py" / "data_batch_2"


def with_one_tar_entry(path: Path, formats: ModuleType, *entries: tuple[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in entries:
            formats.add(tar, name, data)


def cut_after_a_member(path: Path, n_members: int) -> None:
    """Cut a tar where a member ends, as a copy that was interrupted may leave it."""
    with tarfile.open(path) as tar:
        end = tar.getmembers()[n_members].offset
    path.write_bytes(path.read_bytes()[:end])


WHOLE, UNPACKED = {}, {"packed": False}

SPOILED: list[tuple[str, dict[str, bool], Spoil, str]] = [
    ("cifar10", WHOLE, lambda f, _: cut(f / "cifar-10-python.tar.gz"), "cifar-10-python.tar.gz is damaged"),
    ("cifar10", WHOLE, lambda f, _: garbled(f / "cifar-10-python.tar.gz"), "cifar-10-python.tar.gz is damaged"),
    ("cifar10", WHOLE, lambda f, _: (f / "cifar-10-python.tar.gz").unlink(), "cifar-10-python.tar.gz is not in"),
    ("cifar10", UNPACKED, lambda f, _: cut(batch(f)), "data_batch_2 is damaged"),
    ("cifar10", UNPACKED, lambda f, _: batch(f).write_bytes(b""), "data_batch_2 is damaged"),
    ("cifar10", UNPACKED, lambda f, _: batch(f).unlink(), "data_batch_2 cannot be read: No such file"),
    ("cifar10", UNPACKED, lambda f, m: cifar_entry(batch(f), m, labels=None), "data_batch_2 has no labels"),
    (
        "cifar10",
        UNPACKED,
        lambda f, m: cifar_entry(batch(f), m, data=np.zeros((4, 3000), np.uint8)),
        r"data_batch_2: data must be uint8 \(4, 3072\), got uint8 \(4, 3000\)",
    ),
    (
        "cifar10",
        UNPACKED,
        lambda f, m: cifar_entry(batch(f), m, data=np.zeros((4, 3072), np.float32)),
        "data_batch_2: data must be uint8 .* got float32",
    ),
    (
        "cifar10",
        UNPACKED,
        lambda f, m: cifar_entry(batch(f), m, labels=[0, 1, 2, 10]),
        "data_batch_2: labels must be below 10, got 10",
    ),
    ("cifar10", UNPACKED, lambda f, m: cifar_entry(batch(f), m, labels=[1]), r"data must be uint8 \(1, 3072\)"),
    ("cifar100", WHOLE, lambda f, _: cut(f / "cifar-100-python.tar.gz"), "cifar-100-python.tar.gz is damaged"),
    ("svhn", WHOLE, lambda f, _: cut(f / "extra_32x32.mat"), "extra_32x32.mat is damaged"),
    ("svhn", WHOLE, lambda f, _: (f / "test_32x32.mat").write_bytes(b"no matrix"), "test_32x32.mat is damaged"),
    ("svhn", WHOLE, lambda f, _: (f / "train_32x32.mat").unlink(), "train_32x32.mat is not in"),
    ("svhn", WHOLE, lambda f, _: savemat(f / "test_32x32.mat", {"X": np.zeros(3)}), r"must hold X and y, got \['X'\]"),
    (
        "svhn",
        WHOLE,
        lambda f, _: savemat(f / "test_32x32.mat", {"X": np.zeros((8, 8, 3, 2), np.uint8), "y": [[1], [2]]}),
        r"test_32x32.mat: X must be uint8 \(32, 32, 3, 2\), got uint8 \(8, 8, 3, 2\)",
    ),
    (
        "svhn",
        WHOLE,
        lambda f, _: savemat(f / "test_32x32.mat", {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[0], [2]]}),
        "test_32x32.mat: labels must be 1 to 10, got 0 to 2",
    ),
    ("mnist", WHOLE, lambda f, _: cut(f / mnist.FILES[0].name), "train-images-idx3-ubyte.gz is damaged"),
    ("mnist", WHOLE, lambda f, _: garbled(f / mnist.FILES[0].name), "train-images-idx3-ubyte.gz is damaged"),
    ("mnist", UNPACKED, lambda f, _: cut(f / "train-images-idx3-ubyte"), r"idx3-ubyte: \(100, 28, 28\) needs 78400"),
    ("mnist", UNPACKED, lambda f, _: cut(f / "t10k-labels-idx1-ubyte", 0.1), "labels-idx1-ubyte is no IDX file"),
    ("mnist", WHOLE, lambda f, _: (f / mnist.FILES[3].name).unlink(), "t10k-labels-idx1-ubyte.gz is not in"),
    (
        "mnist",
        WHOLE,
        lambda f, m: (f / mnist.FILES[1].name).write_bytes(gzip.compress(m.idx(np.zeros(99, np.uint8)))),
        r"train-labels-idx1-ubyte.gz must hold 100 labels, got \(99,\)",
    ),
    (
        "mnist",
        WHOLE,
        lambda f, m: (f / mnist.FILES[2].name).write_bytes(gzip.compress(m.idx(np.zeros((40, 27, 28), np.uint8)))),
        r"t10k-images-idx3-ubyte.gz must hold images of 28x28, got \(40, 27, 28\)",
    ),
    (
        "folder:pets",
        WHOLE,
        lambda f, _: cut(f / "train/dog/dog_3.JPEG"),
        r"train/dog/dog_3.JPEG \(sample \d+\) is damaged",
    ),
    ("folder:pets", WHOLE, lambda f, _: (f / "val/cat/cat_0.JPEG").write_bytes(b"GIF"), "val/cat/cat_0.JPEG"),
    ("folder:pets", WHOLE, lambda f, _: (f / "train/eel/eel_1.JPEG").write_bytes(b""), "train/eel/eel_1.JPEG"),
    ("folder:pets", WHOLE, lambda f, _: (f / "train/emu").mkdir(), "train/emu holds no images"),
    ("folder:pets", WHOLE, lambda f, _: (f / "train/cat").rename(f / "train/cow"), "val/cat: no class of that name in"),
    ("folder:pets", WHOLE, lambda f, _: (f / "val").rename(f / "validation"), "no folder val in"),
    ("shards:pets", WHOLE, lambda f, _: cut(f / "train-000001.tar"), "train-000001.tar is"),
    ("shards:pets", WHOLE, lambda f, _: cut_after_a_member(f / "train-000001.tar", 4), "000001.tar is truncated"),
    ("shards:pets", WHOLE, lambda f, _: cut_after_a_member(f / "train-000001.tar", 5), "000001.tar is truncated"),
    (
        "shards:pets",
        WHOLE,
        lambda f, _: (f / "val-000000.tar").write_bytes(b"x" * 4000),
        "val-000000.tar is no whole tar",
    ),
    ("shards:pets", WHOLE, lambda f, _: [p.unlink() for p in f.glob("val-*")] and None, r"no val-\*.tar in"),
    (
        "shards:pets",
        WHOLE,
        lambda f, m: with_one_tar_entry(f / "val-000000.tar", m, ("a.jpg", m.jpeg(0, 0))),
        r"val-000000.tar: a has no class \(.cls\)",
    ),
    (
        "shards:pets",
        WHOLE,
        lambda f, m: with_one_tar_entry(f / "val-000000.tar", m, ("a.jpg", m.jpeg(0, 0)), ("a.cls", b"dog")),
        "val-000000.tar: a.cls must hold the number of a class, got 'dog'",
    ),
    (
        "shards:pets",
        WHOLE,
        lambda f, m: with_one_tar_entry(f / "val-000000.tar", m, ("a.jpg", m.jpeg(0, 0)), ("a.cls", b"7")),
        "val has a class 7, the classes of train end at 2",
    ),
    (
        "shards:pets",
        WHOLE,
        lambda f, m: with_one_tar_entry(f / "val-000000.tar", m, ("a.jpg", m.jpeg(0, 0)[:900]), ("a.cls", b"1")),
        r"val-000000.tar \(sample \d+\) is damaged",
    ),
    ("imagenet", WHOLE, lambda f, _: cut(f / "ILSVRC2012_img_train.tar"), "ILSVRC2012_img_train.tar is no whole tar"),
    ("imagenet", WHOLE, lambda f, _: (f / "ILSVRC2012_img_val.tar").unlink(), "ILSVRC2012_img_val.tar is not in"),
    ("imagenet", WHOLE, lambda f, _: cut(f / "ILSVRC2012_devkit_t12.tar.gz"), "devkit_t12.tar.gz is damaged"),
    ("imagenet", WHOLE, lambda f, m: m.devkit(f, ["n01440764"]), "has 1 lines, and there is an image 2"),
]


@pytest.mark.parametrize(
    ("dataset", "how", "spoil", "sentence"), SPOILED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_spoiled_files_are_named_and_leave_no_manifest(
    dataset: str,
    how: dict[str, bool],
    spoil: Spoil,
    sentence: str,
    put: Put,
    ready: Ready,
    formats: ModuleType,
    tmp_path: Path,
) -> None:
    folder = put(dataset, tmp_path, **how)
    spoil(folder, formats)
    with pytest.raises(WorkloadError, match=sentence) as caught:
        ready(dataset, tmp_path)
    assert "\n" not in caught.value.message
    assert not (folder / NAME).exists() and locate.problems(dataset, str(tmp_path))


@pytest.mark.parametrize(("dataset", "file"), [("cifar10", "train-x.npy"), ("mnist", "val-y.npy")])
def test_a_bit_that_flipped_in_an_array_is_found_by_the_full_check(
    dataset: str, file: str, put: Put, ready: Ready, tmp_path: Path
) -> None:
    folder = put(dataset, tmp_path)
    ready(dataset, tmp_path)
    assert verify(dataset, tmp_path) == []
    raw = bytearray((folder / file).read_bytes())
    raw[-1] ^= 1
    (folder / file).write_bytes(bytes(raw))
    assert verify(dataset, tmp_path) == [f"{dataset}: {folder / file} has changed since it was prepared"]


def verify(dataset: str, root: Path) -> list[str]:
    return prepare.verify(dataset, root=str(root), workers=1, report=lambda _: None)


@pytest.mark.parametrize(
    ("dataset", "file"),
    [
        ("cifar10", "train-x.npy"),
        ("shards:pets", "train-000001.tar"),
        ("folder:pets", "val/cat/cat_2.JPEG"),
        ("folder:pets", "kbench-index/train-label.npy"),
        ("imagenet", "ILSVRC2012_img_val.tar"),
    ],
)
@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_what_was_harmed_after_it_was_prepared_stops_a_run_before_it_starts(
    dataset: str, file: str, harm: str, put: Put, ready: Ready, tmp_path: Path
) -> None:
    folder = put(dataset, tmp_path)
    ready(dataset, tmp_path)
    assert locate.problems(dataset, str(tmp_path)) == []
    path = folder / file
    if harm == "missing":
        path.unlink()
    else:
        cut(path)
    (problem,) = locate.problems(dataset, str(tmp_path))
    says = "is missing" if harm == "missing" else f"has {path.stat().st_size:,} bytes"
    assert f"{path} {says}" in problem and problem.endswith(f"run kbench data prepare {dataset}")
    with pytest.raises(WorkloadError, match="kbench data prepare"):
        prepare.open_dataset(dataset, str(tmp_path))


def test_an_image_that_was_harmed_without_changing_its_size_is_found_by_the_full_check(
    put: Put, ready: Ready, tmp_path: Path
) -> None:
    folder = put("folder:pets", tmp_path)
    ready("folder:pets", tmp_path)
    path = folder / "train/dog/dog_5.JPEG"
    path.write_bytes(b"\0" * path.stat().st_size)
    (sentence,) = verify("folder:pets", tmp_path)
    assert sentence.startswith(f"{path} (sample") and "is damaged" in sentence


def test_a_damaged_manifest_is_named(put: Put, ready: Ready, tmp_path: Path) -> None:
    folder = put("cifar10", tmp_path)
    ready("cifar10", tmp_path)
    cut(folder / NAME)
    (problem,) = locate.problems("cifar10", str(tmp_path))
    assert problem.startswith(f"{folder / NAME} cannot be read")


def test_files_of_the_official_number_of_samples_must_be_the_official_ones(
    put: Put, ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    folder = put("cifar10", tmp_path)
    small = replace(registry.DATASETS["cifar10"], n_train=100, n_val=30)
    monkeypatch.setitem(registry.DATASETS, "cifar10", small)
    with pytest.raises(
        WorkloadError, match="tar.gz is damaged, was changed .*: the MD5 of it is [0-9a-f]{32}, the official"
    ):
        ready("cifar10", tmp_path)
    assert not (folder / NAME).exists()


def test_another_number_of_samples_is_a_set_of_ones_own_and_says_so(root_of: Callable[[str], Path]) -> None:
    root = str(root_of("cifar10"))
    sentence = (
        "cifar10: 100 training and 30 validation samples of a set of one's own, not the official 50,000 and 10,000"
    )
    assert locate.note("cifar10", root) == sentence
    assert prepare.open_dataset("cifar10", root).note == sentence


def test_an_image_in_any_mode_is_read_in_three_colours(ready: Ready, tmp_path: Path) -> None:
    for part in ("train", "val"):
        folder = tmp_path / "odd" / part / "one"
        folder.mkdir(parents=True)
        for mode, ending in (
            ("L", "png"),
            ("P", "png"),
            ("1", "png"),
            ("RGBA", "png"),
            ("CMYK", "jpg"),
            ("I;16", "png"),
        ):
            out = io.BytesIO()
            Image.new(mode, (9, 7)).save(out, "JPEG" if ending == "jpg" else "PNG")
            (folder / f"{mode}.{ending}".replace(";", "")).write_bytes(out.getvalue())
    assert ready("folder:odd", tmp_path).n_train == 6
