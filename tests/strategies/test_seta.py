"""SeTa against a slow restatement, and its k-means against all partitions of a line."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch

from kbench.engine import seeds
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, TrainingSetup
from kbench.strategies.seta import grouped

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


def within_groups(values: list[float], group: list[int]) -> float:
    """The sum of squared distances from the groups' means."""
    total = 0.0
    for g in set(group):
        members = [value for value, own in zip(values, group, strict=True) if own == g]
        total += sum((value - sum(members) / len(members)) ** 2 for value in members)
    return total


def is_settled(values: list[float], group: list[int]) -> bool:
    """Whether no value lies nearer to another group's mean: what k-means ends with."""
    means = {}
    for g in set(group):
        members = [value for value, own in zip(values, group, strict=True) if own == g]
        means[g] = sum(members) / len(members)
    return all(
        abs(value - means[own]) <= min(abs(value - mean) for mean in means.values()) + 1e-9
        for value, own in zip(values, group, strict=True)
    )


def test_no_loss_lies_nearer_to_another_groups_mean() -> None:
    for k in range(500):
        rng = np.random.default_rng(k)
        values = torch.tensor(rng.exponential(size=rng.integers(1, 80)), dtype=torch.float32)
        if k % 3 == 0:
            values = (values * 3).round() / 3
        group = grouped(values, int(rng.integers(1, 8))).tolist()
        assert is_settled(values.tolist(), group), k
        ranked = sorted(zip(values.tolist(), group, strict=True))
        assert [g for _, g in ranked] == sorted(group), k  # groups in order of loss, ties together


def test_of_well_separated_clumps_each_is_a_group() -> None:
    values = torch.tensor([0.0, 0.1, 5.0, 5.1, 5.2, 9.0, 9.1])
    assert grouped(values, 3).tolist() == [0, 0, 1, 1, 1, 2, 2]
    best = min(
        within_groups(values.tolist(), [sum(i >= cut for cut in cuts) for i in range(7)])
        for cuts in combinations(range(1, 7), 2)
    )
    assert within_groups(values.tolist(), grouped(values, 3).tolist()) == pytest.approx(best)


@pytest.mark.parametrize("n_groups", [1, 2, 5, 9])
def test_equal_losses_are_one_group(n_groups: int) -> None:
    assert len(grouped(torch.full((20,), 0.3), n_groups).unique()) == 1


def drawn_slowly(n: int, n_kept: int, seed: int, index: int) -> list[int]:
    if n_kept == n:
        return list(range(n))
    numbers = torch.rand(n, generator=seeds.generator(seed, "plan", "train", index), dtype=torch.float64).tolist()
    return sorted(sorted(range(n), key=lambda i: (numbers[i], i))[:n_kept])


@pytest.mark.parametrize(
    ("ratio", "groups", "window"), [(0.1, 5, 0.9), (0.3, 5, 0.5), (0.0, 10, 0.5), (0.5, 1, 1.0), (0.2, 4, 0.25)]
)
def test_the_window_slides_from_easy_to_hard_and_begins_again(
    ratio: float, groups: int, window: float, epoch_at: At
) -> None:
    n, epochs = 120, 16
    rng = np.random.default_rng(3)
    strategy, n_window = load("seta", {"ratio": ratio, "groups": groups, "window": window}), round(window * groups)
    for index in range(epochs):
        loss = torch.tensor(rng.exponential(size=n), dtype=torch.float32)
        stats = SampleStats(loss, loss < 1, torch.exp(-loss), loss, torch.zeros(n, dtype=torch.int16))
        chosen = strategy.plan(epoch_at(n, index, epochs=epochs), stats).indices.tolist()
        drawn = drawn_slowly(n, n - int(ratio * n), 0, index)
        if index == 0 or index >= int(0.875 * epochs):
            assert chosen == drawn, index
            continue
        first = index % (groups - n_window + 1)
        group = grouped(loss[drawn], groups).tolist()
        assert chosen == [i for i, g in zip(drawn, group, strict=True) if first <= g < first + n_window], index


def test_inert_it_trains_on_everything(epoch_at: At, stats_case: Case) -> None:
    strategy = load("seta", {"ratio": 0.0, "window": 1.0})
    for index in range(10):
        assert strategy.plan(epoch_at(100, index), stats_case(5)).indices.tolist() == list(range(100))


def test_a_window_of_no_group_is_refused_before_the_start() -> None:
    setup = TrainingSetup(n_train=100, n_classes=10, task="classification", epochs=20, global_batch=20)
    assert [parameter for parameter, _ in load("seta", {"window": 0.05}).problems(setup)] == ["window"]
