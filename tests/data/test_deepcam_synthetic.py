"""Invented weather in DeepCAM's format."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from kbench.data import DATASETS
from kbench.data.sources.deepcam import PARTS, read_file
from kbench.data.sources.deepcam_synthetic import CYCLONE, N_TRAIN, N_VAL, NOISE, RIVER, make, prepare, weather
from kbench.data.store.prepare_job import PrepareJob

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


def test_stats_are_those_of_the_training_files(folder: Path) -> None:
    raw = np.stack([read_file(folder / name)[0] for name in names(folder)]).astype(np.float64)
    with h5py.File(folder / "stats.h5") as file:
        assert file["climate/count"][()] == 4
        np.testing.assert_allclose(file["climate/mean"], raw.mean((0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(file["climate/sqmean"], np.square(raw).mean((0, 1, 2)), rtol=1e-6)
        np.testing.assert_array_equal(file["climate/minval"], raw.min((0, 1, 2)))
        np.testing.assert_array_equal(file["climate/maxval"], raw.max((0, 1, 2)))


def test_synthetic_files_do_not_depend_on_the_number_of_processes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    make(again, n_train=4, n_val=2, shape=SHAPE, processes=2)
    for name in [*names(folder), *names(folder, "val")]:
        for one, two in zip(read_file(folder / name), read_file(again / name), strict=True):
            np.testing.assert_array_equal(one, two)


def test_synthetic_samples_differ_between_numbers_parts_and_seeds(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make(other, n_train=1, n_val=1, shape=SHAPE, seed=1)
    paths = [folder / name for name in [*names(folder), *names(folder, "val")]] + [first(other)]
    assert len({read_file(path)[0].tobytes() for path in paths}) == len(paths)


def test_the_synthetic_set_is_what_its_entry_says(tmp_path: Path) -> None:
    info = DATASETS["deepcam-synthetic"]
    made = prepare(PrepareJob(dataset="deepcam-synthetic", info=info, folder=tmp_path, look_in=()))
    assert (made.n_train, made.n_val) == (info.n_train, info.n_val) == (N_TRAIN, N_VAL)
    assert made.shape == info.shape and made.note(info) is None


def test_cyclones_and_rivers_show_in_channels_of_their_own() -> None:
    rng = np.random.default_rng(0)
    samples = [weather(rng, (96, 144, 16)) for _ in range(20)]
    fields = np.stack([sample[0] for sample in samples]) / 10.0 ** (np.arange(16) % 5) - np.arange(16)
    labels = np.stack([sample[1] for sample in samples])
    assert {0, CYCLONE, RIVER} == set(np.unique(labels))
    for channel in range(16):
        means = [fields[labels == label, channel].mean() for label in (0, CYCLONE, RIVER)]
        assert (means[CYCLONE] - means[0] > 2 * NOISE) == (channel % 2 == 0)
        assert (means[RIVER] - means[0] > 2 * NOISE) == (channel % 3 == 0)
