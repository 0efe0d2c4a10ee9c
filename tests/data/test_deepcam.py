"""DeepCAM's files: what is read of them, and what is wrong with them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from kbench.data.sources.deepcam import Climate, ranges, read_file, shape_of
from kbench.data.sources.deepcam_prepared import PARTS
from kbench.data.sources.deepcam_synthetic import make
from kbench.data.views.spec import View
from kbench.errors import WorkloadError

SHAPE = (32, 48, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four training and two validation samples, as published: nothing is prepared."""
    make(tmp_path / "deepcam", n_train=4, n_val=2, shape=SHAPE)
    return tmp_path / "deepcam"


def names(folder: Path, part: str = "train") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in (folder / PARTS[part]).iterdir())


def first(folder: Path) -> Path:
    return folder / names(folder)[0]


def climate(folder: Path) -> Climate:
    return Climate(folder, names(folder), ranges(folder / "stats.h5"), (16, 32, 48))


def rewrite(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace a data set within a file."""
    with h5py.File(path, "r+") as file:
        changed = change(file[name][...])
        del file[name]
        file[name] = changed


def test_a_sample_is_the_files_fields_scaled_to_the_training_range_channels_first(folder: Path) -> None:
    with h5py.File(first(folder)) as file, h5py.File(folder / "stats.h5") as stats:
        lowest, highest = stats["climate/minval"][...], stats["climate/maxval"][...]
        expected = ((file["climate/data"][...] - lowest) / (highest - lowest)).transpose(2, 0, 1)
        labels = file["climate/labels_0"][...]
    x, y = climate(folder).read(0, View())
    assert x.dtype == torch.float32 and y.dtype == torch.int64
    np.testing.assert_allclose(x, expected, atol=1e-5)
    np.testing.assert_array_equal(y, labels)


def test_training_fields_fill_the_unit_interval_exactly(folder: Path) -> None:
    samples = climate(folder)
    x = torch.stack([samples.read(i, View())[0] for i in range(len(samples))])
    assert x.amin((0, 2, 3)).abs().max() < 1e-5
    assert (x.amax((0, 2, 3)) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32"])
def test_labels_may_be_stored_as_any_kind_of_number(folder: Path, dtype: str) -> None:
    _, before = read_file(first(folder))
    rewrite(first(folder), "climate/labels_0", lambda labels: labels.astype(dtype))
    np.testing.assert_array_equal(read_file(first(folder))[1], before)


def test_a_missing_data_set_within_a_file_is_named(folder: Path) -> None:
    with h5py.File(first(folder), "r+") as file:
        del file["climate/labels_0"]
    for look in (read_file, shape_of):
        with pytest.raises(WorkloadError, match=r"data-000000\.h5: holds no climate/labels_0"):
            look(first(folder))


def test_a_group_in_place_of_the_fields_is_refused(folder: Path) -> None:
    with h5py.File(first(folder), "r+") as file:
        del file["climate/data"]
        file.create_group("climate/data")
    with pytest.raises(WorkloadError, match="holds no climate/data"):
        read_file(first(folder))


def test_labels_of_another_shape_than_the_fields_are_refused(folder: Path) -> None:
    rewrite(first(folder), "climate/labels_0", lambda labels: np.zeros((48, 32), dtype=np.int8))
    sentence = r"climate/labels_0 has shape \(48, 32\), but climate/data has \(32, 48, 16\)"
    for look in (read_file, shape_of):
        with pytest.raises(WorkloadError, match=sentence):
            look(first(folder))


@pytest.mark.parametrize("stray", [-1, 3, 255])
def test_a_class_beyond_the_three_is_refused(folder: Path, stray: int) -> None:
    rewrite(first(folder), "climate/labels_0", lambda labels: np.where(np.arange(48) == 7, np.int64(stray), labels))
    with pytest.raises(WorkloadError, match=rf"data-000000\.h5: class {stray} in climate/labels_0"):
        read_file(first(folder))


@pytest.mark.parametrize("stray", [0.5, np.nan])
def test_a_label_between_two_classes_is_refused(folder: Path, stray: float) -> None:
    rewrite(first(folder), "climate/labels_0", lambda labels: np.where(np.arange(48) == 7, stray, labels))
    with pytest.raises(WorkloadError, match=r"data-000000\.h5: climate/labels_0 holds numbers that are no classes"):
        read_file(first(folder))


def test_fields_of_another_rank_are_refused(folder: Path) -> None:
    rewrite(first(folder), "climate/data", lambda fields: fields[None])
    with pytest.raises(
        WorkloadError, match=r"climate/data must hold numbers in 3 dimensions, got float32 of shape \(1,"
    ):
        shape_of(first(folder))


def test_a_channel_without_a_range_is_refused(folder: Path) -> None:
    with h5py.File(folder / "stats.h5", "r+") as file:
        file["climate/maxval"][2] = file["climate/minval"][2]
    with pytest.raises(WorkloadError, match=r"stats\.h5: climate/maxval must be above climate/minval"):
        ranges(folder / "stats.h5")
