"""Every published format is read to the samples that were written, and nothing else gets in."""

import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torchvision.datasets import ImageFolder

from kbench.data import dataset_info
from kbench.data.loader import Arrays, SampleReader
from kbench.data.store import index, manifest, prepare
from kbench.data.store.images import ImageReader
from kbench.data.store.manifest import Manifest
from kbench.data.views.spec import Source
from kbench.errors import WorkloadError

Put = Callable[..., Path]
Ready = Callable[[str, Path], Manifest]


def parts(dataset: str, root: Path) -> tuple[Source, Source]:
    found = prepare.open_dataset(dataset, str(root))
    return found.train, found.val


def arrays(dataset: str, root: Path) -> tuple[Arrays, Arrays]:
    train, val = parts(dataset, root)
    assert isinstance(train, Arrays) and isinstance(val, Arrays)
    return train, val


@pytest.mark.parametrize("packed", [True, False])
def test_cifar10_is_its_five_batches_in_order_and_the_test_batch(
    packed: bool, put: Put, ready: Ready, tmp_path: Path
) -> None:
    folder = put("cifar10", tmp_path, packed=packed)
    if packed:
        with tarfile.open(folder / "cifar-10-python.tar.gz") as tar:
            tar.extractall(folder / "opened", filter="data")
    opened = folder / ("opened" if packed else ".") / "cifar-10-batches-py"
    ready("cifar10", tmp_path)
    train, val = arrays("cifar10", tmp_path)
    for part, names in ((train, [f"data_batch_{i}" for i in range(1, 6)]), (val, ["test_batch"])):
        batches = [pickle.loads((opened / name).read_bytes(), encoding="latin1") for name in names]
        assert np.array_equal(part.x.flatten(1), np.concatenate([batch["data"] for batch in batches]))
        assert part.y.tolist() == sum((batch["labels"] for batch in batches), [])


@pytest.mark.parametrize("packed", [True, False])
def test_cifar100_has_its_fine_labels(packed: bool, put: Put, ready: Ready, tmp_path: Path) -> None:
    put("cifar100", tmp_path, packed=packed)
    made = ready("cifar100", tmp_path)
    train, val = arrays("cifar100", tmp_path)
    assert (made.n_train, made.n_val, made.n_classes, made.shape) == (200, 100, 100, (3, 32, 32))
    assert train.y.tolist() == [i % 100 for i in range(200)] and val.y.tolist() == list(range(100))


def test_a_pickle_that_asks_for_more_than_arrays_is_refused(put: Put, ready: Ready, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "canary"),)

    folder = put("cifar10", tmp_path, packed=False)
    evil = folder / "cifar-10-batches-py" / "data_batch_3"
    evil.write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}, protocol=2))
    with pytest.raises(WorkloadError, match="data_batch_3 is damaged: it asks for (posix|nt).mkdir"):
        ready("cifar10", tmp_path)
    assert not (tmp_path / "canary").exists()


def test_svhn_trains_on_train_and_extra_and_a_10_is_a_zero(root_of: Callable[[str], Path], formats: ModuleType) -> None:
    train, val = arrays("svhn", root_of("svhn"))
    assert (len(train), len(val)) == (100, 30)
    assert train.y.tolist() == [i % 10 for i in range(40)] + [i % 10 for i in range(60)]
    assert np.array_equal(train.x[:40], formats.pixels(formats.some_labels(40, 10), 3, 32, 32, seed=0))
    assert np.array_equal(train.x[40:], formats.pixels(formats.some_labels(60, 10), 3, 32, 32, seed=1))


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_what_its_idx_files_say(
    packed: bool, put: Put, ready: Ready, formats: ModuleType, tmp_path: Path
) -> None:
    put("mnist", tmp_path, packed=packed)
    ready("mnist", tmp_path)
    train, val = arrays("mnist", tmp_path)
    labels = formats.some_labels(100, 10)
    assert train.y.tolist() == labels.tolist() and val.x.shape == (40, 1, 28, 28)
    assert np.array_equal(train.x[:, 0], formats.pixels(labels.astype(np.uint8), 28, 28, seed=0))


@pytest.mark.parametrize(("turned", "plain"), [("mnist-rot", "mnist"), ("cifar10-rot", "cifar10")])
def test_autoassists_sets_turn_each_training_image_once_and_no_test_image(
    turned: str, plain: str, put: Put, ready: Ready, tmp_path: Path
) -> None:
    put(plain, tmp_path)
    for dataset in (turned, plain):
        ready(dataset, tmp_path)
    (train, val), (upright, same) = arrays(turned, tmp_path), arrays(plain, tmp_path)
    assert torch.equal(val.x, same.x) and torch.equal(train.y, upright.y)
    differ = (train.x != upright.x).flatten(1).any(1)
    assert differ.float().mean() > 0.95
    assert len({image.numpy().tobytes() for image in train.x}) == len(train)
    again = ready(turned, tmp_path)
    assert again.digests == manifest.read(tmp_path / turned).digests  # type: ignore[union-attr]


def pictures(dataset: str, root: Path, part: str) -> ImageReader:
    source = parts(dataset, root)[part == "val"]
    assert isinstance(source, SampleReader) and isinstance(source.reader, ImageReader)
    return source.reader


@pytest.mark.parametrize("part", ["train", "val"])
def test_an_image_folder_is_torchvisions_in_a_fixed_random_order(part: str, root_of: Callable[[str], Path]) -> None:
    root = root_of("folder:pets")
    ours, theirs = pictures("folder:pets", root, part), ImageFolder(str(root / "pets" / part))
    by_name = {Path(path).name: label for path, label in theirs.samples}
    names = [Path(ours.name(i)).name for i in range(len(ours))]
    assert sorted(names) == sorted(by_name)
    assert [by_name[name] for name in names] == ours.index.label.tolist()
    for i, name in enumerate(names):
        theirs_i = [Path(path).name for path, _ in theirs.samples].index(name)
        assert ours.image(i).tobytes() == theirs[theirs_i][0].tobytes()


@pytest.mark.parametrize("dataset", ["folder:pets", "shards:pets", "imagenet"])
def test_the_lowest_ids_are_not_all_of_one_class(dataset: str, root_of: Callable[[str], Path]) -> None:
    labels = pictures(dataset, root_of(dataset), "train").index.label
    assert len(set(labels[:8].tolist())) == 3
    assert np.bincount(labels).tolist() == [len(labels) // 3] * 3


def test_ids_are_those_of_a_shuffle_that_never_changes() -> None:
    found = [index.Location(i, 0, 1, i) for i in range(12)]
    assert index.shuffled([], found).label.tolist() == [6, 11, 4, 10, 2, 8, 1, 7, 9, 3, 0, 5]


def test_shards_hold_the_image_and_the_class_of_each_key(root_of: Callable[[str], Path], formats: ModuleType) -> None:
    train = pictures("shards:pets", root_of("shards:pets"), "train")
    labels = np.sort(formats.some_labels(24, 3)).tolist()
    expected = {formats.jpeg(label, i): label for i, label in enumerate(labels)}
    read = {train._bytes(i): int(train.index.label[i]) for i in range(len(train))}
    assert read == expected


def test_the_official_imagenet_tars_are_read_in_place(
    root_of: Callable[[str], Path], formats: ModuleType, tmp_path: Path
) -> None:
    root = root_of("imagenet")
    train, val = (pictures("imagenet", root, part) for part in ("train", "val"))
    expected = {formats.jpeg(label, 10 * label + i): label for label in range(3) for i in range(4)}
    assert {train._bytes(i): int(train.index.label[i]) for i in range(len(train))} == expected
    truth = {formats.jpeg(i % 3, 500 + i): i % 3 for i in range(6)}
    assert {val._bytes(i): int(val.index.label[i]) for i in range(len(val))} == truth
    assert not list(root.rglob("*.JPEG"))


def test_a_flat_imagenet_val_gets_its_classes_from_the_development_kit(
    formats: ModuleType, ready: Ready, tmp_path: Path
) -> None:
    folder = tmp_path / "imagenet"
    formats.image_folder(folder, classes=formats.WNIDS)
    truth = []
    for i, path in enumerate(sorted((folder / "val").rglob("*.JPEG"))):
        truth.append(path.parent.name)
        path.rename(folder / "val" / f"ILSVRC2012_val_{i + 1:08d}.JPEG")
    for name in formats.WNIDS:
        (folder / "val" / name).rmdir()
    with pytest.raises(WorkloadError, match="ILSVRC2012_devkit_t12.tar.gz, which is not in"):
        ready("imagenet", tmp_path)
    formats.devkit(folder, truth)
    ready("imagenet", tmp_path)
    val = pictures("imagenet", tmp_path, "val")
    for i in range(len(val)):
        number = int(Path(val.name(i)).stem[-8:])
        assert formats.WNIDS[int(val.index.label[i])] == truth[number - 1]


def test_files_that_lie_elsewhere_are_linked_and_not_copied(formats: ModuleType, tmp_path: Path) -> None:
    formats.image_folder(tmp_path / "theirs")
    formats.shards(tmp_path / "theirs-too")
    for dataset, given in (("folder:mine", "theirs"), ("shards:ours", "theirs-too")):
        root = str(tmp_path / "root")
        prepare.prepare(dataset, root=root, given=tmp_path / given, download=False, workers=1, report=lambda _: None)
        assert prepare.verify(dataset, root=root, workers=1, report=lambda _: None) == []
    assert (tmp_path / "root" / "mine" / "train").is_symlink()
    assert all(path.is_symlink() for path in (tmp_path / "root" / "ours").glob("*.tar"))


def test_several_processes_prepare_the_same_set(formats: ModuleType, tmp_path: Path) -> None:
    formats.shards(tmp_path / "mine", n_train=600, n_val=6, per_shard=200)
    made = [
        prepare.prepare(
            "shards:mine", root=str(tmp_path), given=None, download=False, workers=n, report=lambda _: None
        )[1]
        for n in (1, 2)
    ]
    assert made[0].digests == made[1].digests and made[0].n_train == 600


PACKAGE = Path("/usr/share/datasets/fashion-mnist")  # Debian: dataset-fashion-mnist


@pytest.mark.skipif(not PACKAGE.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_is_found_where_debian_puts_it_and_is_official(ready: Ready, tmp_path: Path) -> None:
    made = ready("fashion-mnist", tmp_path)
    assert (made.n_train, made.n_val, made.checked[0]) == (60_000, 10_000, "MD5 of the official files")
    train, val = arrays("fashion-mnist", tmp_path)
    assert torch.bincount(train.y).tolist() == [6000] * 10 and torch.bincount(val.y).tolist() == [1000] * 10
    pixels, info = train.x.float() / 255, dataset_info("fashion-mnist")
    assert info is not None
    assert (round(float(pixels.mean()), 4), round(float(pixels.std()), 4)) == (*info.mean, *info.std)


@pytest.mark.skipif(not PACKAGE.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_clothes_do_not_pass_as_digits(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="is of another data set: the MD5 of what is in it"):
        prepare.prepare("mnist", root=str(tmp_path), given=PACKAGE, download=False, workers=1, report=lambda _: None)
