"""DeepCAM's files: what is read of them, what is wrong with them, and synthetic ones in the same format."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from kbench.data import DATASETS, stamp
from kbench.data.deepcam import Climate, problem_of, ranges, read_file, shape_of
from kbench.data.deepcam_prepared import PARTS, load, prepare, verify
from kbench.data.deepcam_synthetic import CYCLONE, N_TRAIN, N_VAL, NOISE, RIVER, make
from kbench.data.deepcam_synthetic import prepare as prepare_synthetic
from kbench.data.deepcam_synthetic import weather
from kbench.data.make import opened
from kbench.data.view import View
from kbench.data.work import Work
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


def work(folder: Path, *, workers: int = 1) -> Work:
    card = DATASETS["deepcam"]
    return Work(dataset="deepcam", card=card, folder=folder, look_in=(folder,), download=False, workers=workers)


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


def test_a_prepared_set_holds_every_sample_once_in_an_order_that_is_not_that_of_the_names(tmp_path: Path) -> None:
    make(tmp_path, n_train=12, n_val=2, shape=(16, 16, 16))
    (tmp_path / "train" / "README.txt").write_text("not a sample")
    made = prepare(work(tmp_path))
    assert (made.n_train, made.n_val, made.n_classes, made.shape) == (12, 2, 3, (16, 16, 16))
    train, val = load(tmp_path)
    ids, x, y = next(train.batches([torch.arange(12)], View()))
    whole = {read_file(tmp_path / name)[1].tobytes() for name in names(tmp_path) if name.endswith(".h5")}
    assert ids.tolist() == list(range(12)) and {labels.numpy().tobytes() for labels in y} == whole
    order = [name for name in made.files if name.startswith("train/")]
    assert order != sorted(order) and set(order) == set(names(tmp_path)) - {"train/README.txt"}
    assert x.shape == (12, 16, 16, 16) and len(val) == 2


def test_ids_are_the_same_wherever_the_set_lies(folder: Path, tmp_path: Path) -> None:
    prepare(work(folder))
    there = folder.rename(tmp_path / "elsewhere")
    before = next(load(there)[0].batches([torch.tensor([2, 0])], View()))
    prepare(work(there, workers=2))
    after = next(load(there)[0].batches([torch.tensor([2, 0])], View()))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_small_set_is_usable_and_says_that_it_is_not_the_official_one(folder: Path) -> None:
    note = prepare(work(folder)).note(DATASETS["deepcam"])
    assert note is not None and "4 training and 2 validation samples" in note and "121,266" in note


def test_worker_processes_read_what_this_process_reads(folder: Path) -> None:
    prepare(work(folder))
    ids = [torch.tensor([3, 1]), torch.tensor([0])]
    here = list(replace(load(folder)[0], workers=0).batches(ids, View()))
    there = list(replace(load(folder)[0], workers=2).batches(ids, View()))
    assert len(here) == len(there) == 2
    assert all(torch.equal(a, b) for one, two in zip(here, there, strict=True) for a, b in zip(one, two, strict=True))


def test_a_file_that_is_truncated_during_a_training_is_named_in_one_sentence(folder: Path) -> None:
    prepare(work(folder))
    train = replace(load(folder)[0], workers=0)
    path = folder / names(folder)[2]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WorkloadError, match=r"data-000002\.h5: not readable as HDF5, perhaps cut short") as caught:
        list(train.batches([torch.arange(4)], View()))
    assert "\n" not in caught.value.message and caught.value.hint


def test_a_truncated_file_is_found_when_the_set_is_prepared(folder: Path) -> None:
    whole = first(folder).read_bytes()
    first(folder).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkloadError, match=r"train/data-000000\.h5: not readable as HDF5, perhaps cut short"):
        prepare(work(folder))
    assert stamp.read(folder) is None


def test_a_truncated_or_missing_file_is_found_before_a_training(folder: Path) -> None:
    prepare(work(folder))
    whole, root = first(folder).read_bytes(), str(folder.parent)
    first(folder).write_bytes(whole[:1000])
    with pytest.raises(WorkloadError, match=r"data-000000\.h5 has 1,000 bytes, [\d,]+ when it was prepared"):
        opened("deepcam", root)
    first(folder).unlink()
    with pytest.raises(WorkloadError, match=r"data-000000\.h5 is missing"):
        opened("deepcam", root)


def test_several_bad_files_are_counted_and_one_is_named(tmp_path: Path) -> None:
    make(tmp_path, n_train=5, n_val=1, shape=(16, 16, 16))
    for name in names(tmp_path)[3:]:
        (tmp_path / name).write_text("<html>403 Forbidden</html>")
    with pytest.raises(WorkloadError, match=r"data-000003\.h5: not readable as HDF5, .* \(and 1 more\)"):
        prepare(work(tmp_path))


def test_a_set_that_lies_elsewhere_is_linked_and_not_copied(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "root" / "deepcam"
    made = prepare(replace(work(kept), look_in=(kept, folder)))
    assert (kept / "train").is_symlink() and (kept / "stats.h5").is_symlink() and not (folder / stamp.NAME).exists()
    assert prepare(replace(work(kept), look_in=(kept, folder))).files == made.files
    assert len(load(kept)[0]) == 4


def test_a_missing_folder_is_named_and_an_empty_one_too(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="deepcam: no folder train in .*nowhere"):
        prepare(work(tmp_path / "nowhere"))
    for part in PARTS.values():
        (tmp_path / part).mkdir()
    (tmp_path / "stats.h5").write_text("")
    with pytest.raises(WorkloadError, match=r"train: no \.h5 files found"):
        prepare(work(tmp_path))


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


@pytest.mark.parametrize("other", [(16, 48, 16), (32, 48, 15), (48, 32, 16)])
def test_a_sample_of_another_shape_is_named(folder: Path, other: tuple[int, int, int]) -> None:
    fields, labels = weather(np.random.default_rng(0), other)
    samples, odd = climate(folder), folder / names(folder)[3]
    with h5py.File(odd, "w") as file:
        file["climate/data"], file["climate/labels_0"] = fields, labels
    samples.read(0, View())
    for look in (lambda: samples.read(3, View()), lambda: prepare(work(folder))):
        with pytest.raises(WorkloadError) as caught:
            look()
        assert "has shape" in caught.value.message and "(32, 48, 16)" in caught.value.message
        assert str(other) in caught.value.message


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


def test_fields_of_another_rank_are_refused(folder: Path) -> None:
    rewrite(first(folder), "climate/data", lambda fields: fields[None])
    with pytest.raises(
        WorkloadError, match=r"climate/data must hold numbers in 3 dimensions, got float32 of shape \(1,"
    ):
        shape_of(first(folder))


def test_stats_of_another_number_of_channels_are_refused(folder: Path) -> None:
    with h5py.File(folder / "stats.h5", "w") as file:
        file["climate/minval"], file["climate/maxval"] = np.zeros(4), np.ones(4)
    with pytest.raises(WorkloadError, match=r"stats\.h5: ranges of 4 channels, but the samples have 16"):
        prepare(work(folder))


def test_missing_stats_are_named(folder: Path) -> None:
    (folder / "stats.h5").unlink()
    with pytest.raises(WorkloadError, match=r"deepcam: no stats\.h5 in .*") as caught:
        prepare(work(folder))
    assert "globus" in caught.value.hint


def test_a_channel_without_a_range_is_refused(folder: Path) -> None:
    with h5py.File(folder / "stats.h5", "r+") as file:
        file["climate/maxval"][2] = file["climate/minval"][2]
    with pytest.raises(WorkloadError, match=r"stats\.h5: climate/maxval must be above climate/minval"):
        ranges(folder / "stats.h5")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_full_check_finds_what_a_look_at_the_shapes_does_not(folder: Path, workers: int) -> None:
    path = first(folder)
    with h5py.File(path, "r+") as file:
        file["climate/data"][3, 4, 5] = np.nan
    made = prepare(work(folder))
    assert verify(folder, made, workers, print) == [f"{path}: climate/data holds values that are not finite"]


def test_a_file_that_fits_has_no_problem(folder: Path) -> None:
    assert problem_of(first(folder), SHAPE) is None
    assert verify(folder, prepare(work(folder)), 1, print) == []


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


def test_the_synthetic_set_is_what_its_card_says(tmp_path: Path) -> None:
    card = DATASETS["deepcam-synthetic"]
    made = prepare_synthetic(Work(dataset="deepcam-synthetic", card=card, folder=tmp_path, look_in=()))
    assert (made.n_train, made.n_val) == (card.n_train, card.n_val) == (N_TRAIN, N_VAL)
    assert made.shape == card.shape and made.note(card) is None


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
