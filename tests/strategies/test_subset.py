"""Subset: samples that another program chose, by a list of ids or by scores and a rule."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from kbench.errors import ConfigError
from kbench.strategies import load, sample_list
from kbench.strategies.api import Epoch, SampleStats, Strategy, TrainingSetup
from kbench.strategies.subset import N_STRATA

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]
SETUP = TrainingSetup(n_train=40, n_classes=4, task="classification", epochs=2, global_batch=10)


def subset(path: Path, **params: Any) -> Strategy:
    return load("subset", {"file": str(path), "digest": sample_list.digest_of(path), **params})


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """The scores of 40 samples, with ties."""
    path = tmp_path / "scores.npy"
    np.save(path, np.random.default_rng(0).integers(0, 12, size=40) / 4)
    return path


def chosen_slowly(scores: list[float], at: list[float], params: dict[str, Any]) -> list[int]:
    """What is kept of some samples, by going through them one by one in the order of their hardness."""
    n, fraction = len(scores), params.get("fraction", 0.3)
    n_kept = n - int(fraction * n)
    sign = -1 if params.get("hard") == "low" else 1
    hardness = [sign * score for score in scores]
    if params["keep"] == "easiest":
        return sorted(sorted(range(n), key=lambda each: (hardness[each], each))[:n_kept])
    hardest_first = sorted(range(n), key=lambda each: (-hardness[each], each))
    left = hardest_first[int(params.get("skip", 0.0) * n) :]
    if params["keep"] == "hardest":
        return sorted(left[:n_kept])
    low, high = min(hardness[one] for one in left), max(hardness[one] for one in left)
    width = (high - low) * 1.0001 / N_STRATA
    ranges: list[list[int]] = [[] for _ in range(N_STRATA)]
    for one in sorted(left):
        ranges[int((hardness[one] - low) / width) if width else 0].append(one)
    kept: list[int] = []
    for n_done, members in enumerate(sorted(ranges, key=len)):
        n_part = min(len(members), (n_kept - len(kept)) // (N_STRATA - n_done))
        kept += sorted(members, key=lambda each: at[each])[:n_part]
    return sorted(kept)


RULES: list[dict[str, Any]] = [
    {"keep": "hardest"},
    {"keep": "easiest", "fraction": 0.5},
    {"keep": "hardest", "hard": "low", "fraction": 0.6},
    {"keep": "hardest", "skip": 0.2, "fraction": 0.5},
    {"keep": "strata", "fraction": 0.5},
    {"keep": "strata", "fraction": 0.7, "skip": 0.1, "hard": "low"},
    {"keep": "strata", "fraction": 0.0},
]


@pytest.mark.parametrize("params", RULES, ids=str)
def test_keeps_what_the_rule_says(params: dict[str, Any], scores: Path, epoch_at: At, unmeasured: Unmeasured) -> None:
    for seed in range(5):
        plan = subset(scores, **params).plan(epoch_at(40, 0, seed=seed), unmeasured(40))
        at = epoch_at(40, 0, seed=seed).uniform(40).tolist()
        assert plan.indices.tolist() == chosen_slowly(np.load(scores).tolist(), at, params)
        assert len(plan.indices) == 40 - int(params.get("fraction", 0.3) * 40)


@pytest.mark.parametrize("params", RULES, ids=str)
def test_per_class_does_the_same_within_each_class(
    params: dict[str, Any], scores: Path, epoch_at: At, unmeasured: Unmeasured
) -> None:
    labels = torch.arange(40) % 3
    plan = subset(scores, per_class=True, **params).plan(epoch_at(40, 0), replace(unmeasured(40), label=labels))
    values, at = np.load(scores), epoch_at(40, 0).uniform(40).numpy()
    expected: list[int] = []
    for label in range(3):
        members = np.flatnonzero(labels.numpy() == label)
        places = chosen_slowly(values[members].tolist(), at[members].tolist(), params)
        expected += members[places].tolist()
    assert plan.indices.tolist() == sorted(expected)


def test_every_epoch_trains_on_the_same_and_the_first_pays(scores: Path, epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = subset(scores, keep="strata", scoring_s=12.5)
    plans = [strategy.plan(epoch_at(40, index), unmeasured(40)) for index in range(3)]
    assert len({tuple(plan.indices.tolist()) for plan in plans}) == 1
    assert [plan.charged_s for plan in plans] == [12.5, 0.0, 0.0]


def table_of(path: Path, **columns: Sequence[float]) -> Path:
    frame = pd.DataFrame(columns)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".npy", ".txt", ".csv", ".parquet"])
def test_a_list_of_ids_is_trained_on_as_it_is(
    ending: str, tmp_path: Path, epoch_at: At, unmeasured: Unmeasured
) -> None:
    path, ids = tmp_path / f"ids{ending}", [7, 3, 39, 0]
    if ending == ".npy":
        np.save(path, np.array(ids))
    elif ending == ".txt":
        path.write_text("7\n3\n39\n0\n")
    else:
        table_of(path, id=ids)
    assert subset(path).plan(epoch_at(40, 0), unmeasured(40)).indices.tolist() == [0, 3, 7, 39]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_scores_with_ids_may_come_in_any_order(
    ending: str, tmp_path: Path, epoch_at: At, unmeasured: Unmeasured
) -> None:
    path = table_of(tmp_path / f"scores{ending}", id=[3, 1, 0, 2], score=[0.3, 0.1, 0.0, 0.2])
    plan = subset(path, fraction=0.5, keep="hardest").plan(epoch_at(4, 0), unmeasured(4))
    assert plan.indices.tolist() == [2, 3]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "id\n1\n1\n", "holds id 1 2 times"),
        ("a.csv", "id\n-1\n", "ids must be at least 0, got -1"),
        ("a.csv", "id\n0.5\n", "ids must be whole numbers"),
        ("a.csv", "score\n0.5\nnan\n", "the score of row 1 is not finite"),
        ("a.csv", "score\nhigh\n", "scores must be numbers"),
        ("a.csv", "sample\n1\n", "has no column 'id' or 'score', but 'sample'"),
        ("a.csv", "", "Empty CSV file"),
        ("a.csv", "id\n", "holds no sample"),
        ("a.txt", "one two", "could not convert"),
        ("a.json", "{}", "must end in one of .npy, .csv, .txt, .parquet"),
        ("a.npy", "no array", "is no .npy file of numbers"),
        ("b.npy", "", "is no .npy file of numbers"),
        ("a.parquet", "no table", "Parquet magic bytes not found|Parquet file size"),
    ],
)
def test_a_file_that_holds_no_list_is_refused_by_name(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, text)
    with pytest.raises(ConfigError, match=f"{path}.*({sentence})"):
        subset(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone.npy cannot be read: No such file"):
        load("subset", {"file": str(tmp_path / "gone.npy")})


def test_another_content_needs_another_digest_and_the_right_one_is_named(scores: Path) -> None:
    right = sample_list.digest_of(scores)
    with pytest.raises(ConfigError, match=f"it has none: write digest: '{right}'"):
        load("subset", {"file": str(scores)})
    with pytest.raises(ConfigError, match=f"got {'0' * 16}: write digest: '{right}'"):
        load("subset", {"file": str(scores), "digest": "0" * 16})


@pytest.mark.parametrize(
    ("text", "parameter", "sentence"),
    [
        ("id\n40\n", "file", "holds id 40 of 40 training samples"),
        ("id\n1\n2\n", "file", "holds 2 ids, fewer than one global batch of 10"),
        ("score\n1\n2\n", "file", "holds 2 scores, and the data set has 40 training samples"),
    ],
)
def test_what_does_not_fit_the_data_set_is_found_before_the_start(
    text: str, parameter: str, sentence: str, tmp_path: Path
) -> None:
    found = list(subset(written(tmp_path / "list.csv", text)).problems(SETUP))
    assert [name for name, _ in found] == [parameter] and sentence in found[0][1]


def test_rules_that_leave_nothing_are_refused(scores: Path) -> None:
    with pytest.raises(ConfigError, match="skip 0.5 and fraction 0.6 leave nothing"):
        subset(scores, skip=0.5, fraction=0.6)
    with pytest.raises(ConfigError, match="skip must be at most fraction"):
        subset(scores, skip=0.4, fraction=0.3)
    assert [name for name, _ in subset(scores, fraction=0.9).problems(SETUP)] == ["fraction"]


def test_as_many_steps_as_everything_takes_more_epochs(scores: Path) -> None:
    assert [phase.epochs for phase in subset(scores, fraction=0.75, length="steps").phases(10)] == [40]
    assert [phase.epochs for phase in subset(scores, fraction=0.75).phases(10)] == [10]
