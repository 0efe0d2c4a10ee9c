"""kbench data: list, prepare, check, from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import pytest

Kbench = Callable[..., CompletedProcess[str]]


@pytest.fixture
def root(tmp_path: Path, formats: ModuleType) -> Path:
    formats.cifar10(tmp_path / "data" / "cifar10")
    return tmp_path / "data"


def test_a_set_goes_from_missing_to_ready(root: Path, kbench: Kbench) -> None:
    env = {"KBENCH_DATA": str(root)}

    def state(name: str) -> str:
        lines = kbench("data", "list", env=env).stdout.splitlines()
        return next(line for line in lines if line.split()[0] == name)

    assert "not ready" in state("cifar10") and "run kbench data prepare cifar10" in state("cifar10")
    assert "missing" in state("svhn") and "http://ufldl.stanford.edu/housenumbers/" in state("svhn")
    made = kbench("data", "prepare", "cifar10", env=env)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"cifar10: 100 training and 30 validation samples in {root / 'cifar10'}\n")
    assert "warning: cifar10: 100 training and 30 validation samples of a set of one's own" in made.stderr
    assert state("cifar10").split()[1] == "ready"
    made_at = (root / "cifar10" / "train-x.npy").stat().st_mtime_ns
    again = kbench("data", "prepare", "cifar10", env=env)
    assert again.stdout == made.stdout and "cifar10 is ready" in again.stderr
    assert (root / "cifar10" / "train-x.npy").stat().st_mtime_ns == made_at
    checked = kbench("data", "check", "cifar10", env=env)
    assert (checked.returncode, checked.stdout) == (0, "cifar10: ok\n")
    (root / "cifar10" / "val-x.npy").unlink()
    checked = kbench("data", "check", "cifar10", env=env)
    assert checked.returncode == 4 and f"error: cifar10: {root / 'cifar10' / 'val-x.npy'} is missing" in checked.stderr


def test_programs_get_json(root: Path, kbench: Kbench) -> None:
    made = json.loads(kbench("data", "prepare", "cifar10", "--root", str(root), "--json").stdout)
    assert (made["n_train"], made["shape"], made["schema"]) == (100, [3, 32, 32], 1)
    listed = json.loads(kbench("data", "list", "--root", str(root), "--json").stdout)
    assert listed["roots"] == [str(root)]
    assert listed["datasets"]["cifar10"]["folder"] == str(root / "cifar10")
    assert listed["datasets"]["cifar10"]["note"].endswith("not the official 50,000 and 10,000")
    assert listed["datasets"]["digits"]["state"] == "ready"
    checked = kbench("data", "check", "svhn", "--root", str(root), "--json")
    assert checked.returncode == 4 and json.loads(checked.stdout)["problems"]


def test_where_there_is_no_file_and_no_network_the_source_is_named(root: Path, kbench: Kbench) -> None:
    refused = kbench("data", "prepare", "cifar100", "--root", str(root), "--no-download")
    assert refused.returncode == 4
    assert refused.stderr.splitlines() == [
        f"error: cifar100: cifar-100-python.tar.gz is not in {root / 'cifar100'}, {root}",
        "hint: get it from https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ]


def test_files_elsewhere_are_taken_from_there(root: Path, kbench: Kbench, tmp_path: Path) -> None:
    made = kbench("data", "prepare", "cifar10", "--root", str(tmp_path / "new"), "--from", str(root / "cifar10"))
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "new" / "cifar10" / "train-x.npy").exists()


def test_a_root_is_needed_and_a_name_that_is_known(kbench: Kbench) -> None:
    refused = kbench("data", "prepare", "cifar10")
    assert refused.returncode == 2 and "no data root is set" in refused.stderr
    refused = kbench("data", "prepare", "cifar1O", "--root", "/x")
    assert refused.returncode == 2 and "unknown data set 'cifar1O'; did you mean 'cifar10'?" in refused.stderr


def test_the_root_of_a_site_is_used(root: Path, kbench: Kbench, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"data_root: {root}\n")
    made = kbench("data", "prepare", "cifar10", "--site", "mine.yaml")
    assert made.returncode == 0, made.stderr
    assert str(root / "cifar10") in made.stdout


def test_recipes_that_do_not_fit_their_data_are_refused(kbench: Kbench, tmp_path: Path) -> None:
    recipes = [{"augment": "crop-flop"}, {"mean": [0.5], "std": [0.5]}, {"global_batch": 60_000, "val_resize": 31}]
    pair = {"model": "digits-cnn", "dataset": "cifar10"}
    pairs = [
        {"name": f"p{i}", **pair, "recipe": {"epochs": 1, "global_batch": 50, "lr": 0.1} | recipe}
        for i, recipe in enumerate(recipes)
    ]
    pairs.append({"name": "typo", "model": "digits-cnn", "dataset": "folders:mine", "recipe": pairs[0]["recipe"]})
    (tmp_path / "x.yaml").write_text(json.dumps({"name": "x", "pairs": pairs, "strategies": ["baseline"]}))
    refused = kbench("check", "x.yaml")
    assert refused.returncode == 2
    for sentence in (
        "pairs[0].recipe.augment: must be one of none, flip, crop, crop-flip, resized-crop, trivial, color-jitter, "
        "randaugment, randaugment-flips for cifar10, got",
        "pairs[1].recipe.mean: must be 3 numbers, one for each channel of cifar10, got 1",
        "pairs[1].recipe.std: must be 3 numbers, one for each channel of cifar10, got 1",
        "pairs[2].recipe.global_batch: must be at most the 50000 training samples of cifar10, got 60000",
        "pairs[2].recipe.val_resize: must be at least the 32 pixels that are cut out of it, got 31",
        "pairs[3].dataset: unknown data set 'folders:mine'; did you mean 'folder:NAME'?",
    ):
        assert sentence in refused.stderr
