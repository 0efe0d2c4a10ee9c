"""DeepCAM: what is read of its files, what is wrong with them, and in what order samples of a prepared set come."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from kbench.data import DATASETS
from kbench.data.sources.deepcam import (
    PARTS,
    Climate,
    load,
    prepare,
    problem_of,
    ranges,
    read_file,
    shape_of,
    verify,
)
from kbench.data.sources.deepcam_synthetic import make, weather
from kbench.data.store import manifest
from kbench.data.store.prepare import open_dataset
from kbench.data.store.prepare_job import PrepareJob
from kbench.data.views.spec import ViewSpec
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
    x, y = climate(folder).read(0, ViewSpec())
    assert x.dtype == torch.float32 and y.dtype == torch.int64
    np.testing.assert_allclose(x, expected, atol=1e-5)
    np.testing.assert_array_equal(y, labels)


def test_training_fields_fill_the_unit_interval_exactly(folder: Path) -> None:
    samples = climate(folder)
    x = torch.stack([samples.read(i, ViewSpec())[0] for i in range(len(samples))])
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


def job(folder: Path, *, workers: int = 1) -> PrepareJob:
    info = DATASETS["deepcam"]
    return PrepareJob(dataset="deepcam", info=info, folder=folder, look_in=(folder,), download=False, workers=workers)


def test_a_prepared_set_holds_every_sample_once_in_an_order_that_is_not_that_of_the_names(tmp_path: Path) -> None:
    make(tmp_path, n_train=12, n_val=2, shape=(16, 16, 16))
    (tmp_path / "train" / "README.txt").write_text("not a sample")
    made = prepare(job(tmp_path))
    assert (made.n_train, made.n_val, made.n_classes, made.shape) == (12, 2, 3, (16, 16, 16))
    train, val = load(tmp_path)
    ids, x, y = next(train.batches([torch.arange(12)], ViewSpec()))
    whole = {read_file(tmp_path / name)[1].tobytes() for name in names(tmp_path) if name.endswith(".h5")}
    assert ids.tolist() == list(range(12)) and {labels.numpy().tobytes() for labels in y} == whole
    order = [name for name in made.files if name.startswith("train/")]
    assert order != sorted(order) and set(order) == set(names(tmp_path)) - {"train/README.txt"}
    assert x.shape == (12, 16, 16, 16) and len(val) == 2


def test_ids_are_the_same_wherever_the_set_lies(folder: Path, tmp_path: Path) -> None:
    prepare(job(folder))
    there = folder.rename(tmp_path / "elsewhere")
    before = next(load(there)[0].batches([torch.tensor([2, 0])], ViewSpec()))
    prepare(job(there))
    after = next(load(there)[0].batches([torch.tensor([2, 0])], ViewSpec()))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_small_set_is_usable_and_says_that_it_is_not_the_official_one(folder: Path) -> None:
    note = prepare(job(folder)).note(DATASETS["deepcam"])
    assert note is not None and "4 training and 2 validation samples" in note and "121,266" in note


def test_worker_processes_read_what_this_process_reads(folder: Path) -> None:
    prepare(job(folder))
    ids = [torch.tensor([3, 1]), torch.tensor([0])]
    here = list(replace(load(folder)[0], workers=0).batches(ids, ViewSpec()))
    there = list(replace(load(folder)[0], workers=2).batches(ids, ViewSpec()))
    assert len(here) == len(there) == 2
    assert all(torch.equal(a, b) for one, two in zip(here, there, strict=True) for a, b in zip(one, two, strict=True))


def test_a_file_that_is_truncated_during_a_training_is_named_in_one_sentence(folder: Path) -> None:
    prepare(job(folder))
    train = replace(load(folder)[0], workers=0)
    path = folder / names(folder)[2]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WorkloadError, match=r"data-000002\.h5: not readable as HDF5, perhaps cut short") as caught:
        list(train.batches([torch.arange(4)], ViewSpec()))
    assert "\n" not in caught.value.message and caught.value.hint


def test_a_truncated_file_is_found_when_the_set_is_prepared(folder: Path) -> None:
    whole = first(folder).read_bytes()
    first(folder).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkloadError, match=r"train/data-000000\.h5: not readable as HDF5, perhaps cut short"):
        prepare(job(folder))
    assert manifest.read(folder) is None


def test_a_truncated_or_missing_file_is_found_before_a_training(folder: Path) -> None:
    prepare(job(folder))
    whole, root = first(folder).read_bytes(), str(folder.parent)
    first(folder).write_bytes(whole[:1000])
    with pytest.raises(WorkloadError, match=r"data-000000\.h5 has 1,000 bytes, [\d,]+ when it was prepared"):
        open_dataset("deepcam", root)
    first(folder).unlink()
    with pytest.raises(WorkloadError, match=r"data-000000\.h5 is missing"):
        open_dataset("deepcam", root)


def test_several_bad_files_are_counted_and_one_is_named(tmp_path: Path) -> None:
    make(tmp_path, n_train=5, n_val=1, shape=(16, 16, 16))
    for name in names(tmp_path)[3:]:
        (tmp_path / name).write_text("<html>403 Forbidden</html>")
    with pytest.raises(WorkloadError, match=r"data-000003\.h5: not readable as HDF5, .* \(and 1 more\)"):
        prepare(job(tmp_path))


def test_a_set_that_lies_elsewhere_is_linked_and_not_copied(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "root" / "deepcam"
    made = prepare(replace(job(kept), look_in=(kept, folder)))
    assert (kept / "train").is_symlink() and (kept / "stats.h5").is_symlink() and not (folder / manifest.NAME).exists()
    assert prepare(replace(job(kept), look_in=(kept, folder))).files == made.files
    assert len(load(kept)[0]) == 4


def test_a_missing_folder_is_named_and_an_empty_one_too(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="deepcam: no folder train in .*nowhere"):
        prepare(job(tmp_path / "nowhere"))
    for part in PARTS.values():
        (tmp_path / part).mkdir()
    (tmp_path / "stats.h5").write_text("")
    with pytest.raises(WorkloadError, match=r"train: no \.h5 files found"):
        prepare(job(tmp_path))


@pytest.mark.parametrize("other", [(16, 48, 16), (32, 48, 15), (48, 32, 16)])
def test_a_sample_of_another_shape_is_named(folder: Path, other: tuple[int, int, int]) -> None:
    fields, labels = weather(np.random.default_rng(0), other)
    prepare(job(folder))
    train = replace(load(folder)[0], workers=0)
    with h5py.File(folder / names(folder)[3], "w") as file:
        file["climate/data"], file["climate/labels_0"] = fields, labels
    for look in (lambda: list(train.batches([torch.arange(4)], ViewSpec())), lambda: prepare(job(folder))):
        with pytest.raises(WorkloadError, match="data-000003") as caught:
            look()
        assert "has shape" in caught.value.message and "(32, 48, 16)" in caught.value.message
        assert str(other) in caught.value.message


def test_stats_of_another_number_of_channels_are_refused(folder: Path) -> None:
    with h5py.File(folder / "stats.h5", "w") as file:
        file["climate/minval"], file["climate/maxval"] = np.zeros(4), np.ones(4)
    with pytest.raises(WorkloadError, match=r"stats\.h5: ranges of 4 channels, but the samples have 16"):
        prepare(job(folder))


def test_missing_stats_are_named(folder: Path) -> None:
    (folder / "stats.h5").unlink()
    with pytest.raises(WorkloadError, match=r"deepcam: no stats\.h5 in .*") as caught:
        prepare(job(folder))
    assert "globus" in caught.value.hint


@pytest.mark.parametrize("workers", [1, 2])
def test_the_full_check_finds_what_a_look_at_the_shapes_does_not(folder: Path, workers: int) -> None:
    path = first(folder)
    with h5py.File(path, "r+") as file:
        file["climate/data"][3, 4, 5] = np.nan
    made = prepare(job(folder))
    assert verify(folder, made, workers, print) == [f"{path}: climate/data holds values that are not finite"]


def test_a_file_that_fits_has_no_problem(folder: Path) -> None:
    assert problem_of(first(folder), SHAPE) is None
    assert verify(folder, prepare(job(folder)), 1, print) == []
