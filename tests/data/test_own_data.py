"""Arrays of one's own, data sets of torchvision that are on the disk, and data sets of one's own module."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from kbench.data import DatasetInfo, dataset_info
from kbench.data.loader import Arrays, SampleReader, identity_of
from kbench.data.store import locate
from kbench.data.store.prepare import open_dataset
from kbench.data.views.spec import ViewSpec
from kbench.errors import ConfigError, WorkloadError

Y = np.arange(60) % 3
X = (np.random.default_rng(0).random((60, 8, 6)) * 255).astype(np.uint8)


def table(path: Path, **changed: np.ndarray) -> Path:
    arrays = {"x_train": X[:40], "y_train": Y[:40], "x_val": X[40:], "y_val": Y[40:]} | changed
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_a_file_of_arrays_is_a_data_set(tmp_path: Path) -> None:
    path = table(tmp_path / "own.npz")
    opened = open_dataset(f"npz:{path}", "")
    info = opened.info
    assert (info.n_train, info.n_val, info.n_classes, info.shape) == (40, 20, 3, (1, 8, 6))
    ((_, x, y),) = opened.train.batches([torch.tensor([39, 0])], ViewSpec())
    assert torch.equal(x, torch.from_numpy(X[[39, 0]])[:, None].float() / 255) and y.tolist() == [0, 0]
    assert opened.identity != open_dataset(f"npz:{table(tmp_path / 'b.npz', x_val=X[:20])}", "").identity


def test_only_labels_are_read_to_describe_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(
        tmp_path / "own.npz",
        x_train=np.zeros((40, 3, 8, 6), np.float32),
        x_val=X[40:, None].repeat(3, 1) / np.float32(1),
    )
    monkeypatch.setattr(np.lib.format, "read_array", lambda file, **_: Y[:40] if "y_train" in file.name else Y[40:])
    info = dataset_info(f"npz:{path}")
    assert info is not None and info.shape == (3, 8, 6)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"x_val": None}, "has no x_val, only x_train, y_train, y_val"),
        ({"x_train": X[:40].astype(float)}, r"x_train must be \(n, c, h, w\) or \(n, h, w\) of uint8 or float32"),
        ({"y_train": Y[:39]}, "x_train and y_train must be equally many, at least one, got 40 and 39"),
        ({"y_train": Y[:40] - 1}, "y_train must count classes from 0, got -1"),
        ({"y_val": Y[40:] / 2}, r"y_val must be \(n,\) of whole numbers"),
        ({"y_val": Y[40:] + 1}, "y_val has a class 3, the classes of y_train end at 2"),
        ({"x_val": X[40:, :4]}, "x_train and x_val must have images of one shape and type"),
        ({"y_val": np.array(["a"], dtype=object)}, "is no file of arrays: Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changed: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        dataset_info(f"npz:{table(tmp_path / 'own.npz', **changed)}")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(ConfigError, match="is no file of arrays"):
        dataset_info(f"npz:{tmp_path / 'own.npz'}")
    with pytest.raises(ConfigError, match="no such file"):
        dataset_info(f"npz:{tmp_path / 'absent.npz'}")


def test_a_set_of_torchvision_is_read_where_it_lies(
    formats: ModuleType, ready: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(locate.VARIABLE, raising=False)
    name = "torchvision:FashionMNIST"
    with pytest.raises(WorkloadError, match="finds no sound files of FashionMNIST") as error:
        ready(name, tmp_path)
    assert "--from DIR" in error.value.hint
    formats.mnist(tmp_path / "FashionMNIST" / "raw", packed=False)
    ready(name, tmp_path)
    opened = open_dataset(name, str(tmp_path))
    from torchvision.datasets import FashionMNIST

    original = FashionMNIST(str(tmp_path), train=True)
    assert isinstance(opened.train, Arrays) and torch.equal(opened.train.x[:, 0], original.data)
    assert torch.equal(opened.train.y, original.targets)
    assert opened.identity and "not the official 60,000" in str(opened.note)


def test_every_set_of_torchvision_that_is_named_is_there() -> None:
    from torchvision import datasets

    from kbench.data.registry import TORCHVISION_SETS

    assert all(hasattr(datasets, name) for name in TORCHVISION_SETS)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of one's own with a data set; ``module.facts`` are what its DatasetInfo says."""
    module = ModuleType("own_stars")
    x, y = torch.arange(40.0).view(10, 1, 2, 2), torch.arange(10) % 2
    facts = {"target": "load", "n_train": 6, "n_val": 4, "n_classes": 2, "shape": (1, 2, 2), "augments": ("none",)}
    module.facts = facts | {"about": "stars"}
    module.load = lambda _: (Arrays(x[:6], y[:6]), Arrays(x[6:], y[6:]))
    module.STARS = DatasetInfo(**module.facts)
    monkeypatch.setitem(sys.modules, "own_stars", module)
    return module


def test_a_data_set_of_ones_own_is_opened_and_has_an_identity(own: ModuleType) -> None:
    opened = open_dataset("own_stars:STARS", "")
    assert (len(opened.train), len(opened.val), opened.info.target) == (6, 4, "own_stars:load")
    before, (train, val) = opened.identity, own.load(None)
    own.load = lambda _: (train, Arrays(val.x + 1, val.y))
    assert before and open_dataset("own_stars:STARS", "").identity not in (None, before)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"task": "segmentation"}, "must be for classification, got segmentation"),
        ({"n_val": 0}, "must state n_train, n_val and n_classes"),
        (None, "must be a kbench.data.DatasetInfo, got int"),
    ],
)
def test_what_is_no_data_set_is_refused(changed: dict | None, message: str, own: ModuleType) -> None:
    own.STARS = 3 if changed is None else DatasetInfo(**own.facts | changed)
    with pytest.raises(ConfigError, match=message):
        dataset_info("own_stars:STARS")


def test_other_numbers_than_stated_are_refused(own: ModuleType) -> None:
    own.STARS = DatasetInfo(**own.facts | {"n_train": 7})
    with pytest.raises(WorkloadError, match="6 training and 4 validation samples found, 7 and 4 expected"):
        open_dataset("own_stars:STARS", "")


class Numbers:
    """A reader of made-up images."""

    labels = [0, 1, 0, 1]

    def __len__(self) -> int:
        return 4

    def read(self, sample: int, view: ViewSpec) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((1, 2, 2), 40 * sample, dtype=torch.uint8), torch.tensor(sample % 2)


class Brighter:
    """Adds up to 9 to each pixel of an image."""

    n_random = 1

    def __call__(self, x: torch.Tensor, random: torch.Tensor) -> torch.Tensor:
        return x + (10 * random).to(x.dtype)[:, :, None, None]


def test_an_augmentation_of_ones_own_is_the_same_for_a_sample_in_memory_and_from_files(monkeypatch) -> None:
    module = ModuleType("own_views")
    module.Brighter, module.Wrong = Brighter, lambda *_: 0
    module.Wrong.n_random = 0
    monkeypatch.setitem(sys.modules, "own_views", module)
    read = SampleReader(Numbers(), workers=0)
    x = torch.stack([Numbers().read(sample, ViewSpec())[0] for sample in range(4)])
    held = Arrays(x, torch.tensor([0, 1, 0, 1]))
    view = ViewSpec(augment="own_views:Brighter", key=5)
    ((_, one, _),) = held.batches([torch.tensor([3, 1, 0])], view)
    parts = list(read.batches([torch.tensor([1]), torch.tensor([0, 3])], view))
    assert torch.equal(one[1:2], parts[0][1]) and torch.equal(one[[2, 0]], parts[1][1])
    assert len(one.sub(x[[3, 1, 0]] / 255).flatten(1)[:, 0].unique()) > 1
    with pytest.raises(WorkloadError, match="augment own_views:Wrong: must return images of the shape and type"):
        next(held.batches([torch.tensor([0])], ViewSpec(augment="own_views:Wrong")))


def test_identity_of_read_samples_differs_with_their_pixels() -> None:
    class Others(Numbers):
        def read(self, sample: int, view: ViewSpec) -> tuple[torch.Tensor, torch.Tensor]:
            x, y = super().read(sample, view)
            return x + 1, y

    one, other = (identity_of(SampleReader(reader, workers=0)) for reader in (Numbers(), Others()))
    assert one != other == identity_of(SampleReader(Others(), workers=0))
