"""RS2: shares of a shuffled order, one after another."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, TrainingSetup

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


def walked_slowly(n: int, fraction: float, epochs: list[Epoch]) -> list[list[int]]:
    """What each epoch trains on: one by one off a pile, which is shuffled anew when it is empty."""
    pile: list[int] = []
    plans = []
    for epoch in epochs:
        hand: list[int] = []
        while len(hand) < n - int(fraction * n):
            if not pile:
                draws = epoch.uniform(n).tolist()
                pile = sorted(range(n), key=lambda each: draws[each])
                pile = [one for one in pile if one not in hand] + [one for one in pile if one in hand]
            hand.append(pile.pop(0))
        plans.append(sorted(hand))
    return plans


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.9])
def test_walks_through_a_shuffled_order(n: int, fraction: float, epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = load("rs2", {"fraction": fraction})
    plans = [strategy.plan(epoch_at(n, index), unmeasured(n)).indices.tolist() for index in range(12)]
    assert plans == walked_slowly(n, fraction, [epoch_at(n, index) for index in range(12)])


def test_every_sample_is_seen_once_before_any_is_seen_again(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy, seen = load("rs2", {"fraction": 0.75}), torch.zeros(100, dtype=torch.int64)
    for index in range(4):
        seen[strategy.plan(epoch_at(100, index), unmeasured(100)).indices] += 1
    assert seen.tolist() == [1] * 100


def test_with_replacement_each_epoch_draws_from_all(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy, control = load("rs2", {"replacement": True}), load("random", {"fraction": 0.3})
    sizes = {len(strategy.plan(epoch_at(100, index), unmeasured(100)).indices.unique()) for index in range(5)}
    assert sizes == {len(control.plan(epoch_at(100), unmeasured(100)).indices)} == {70}


def test_stratified_gives_each_class_its_part(epoch_at: At, unmeasured: Unmeasured) -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)[torch.randperm(100, generator=torch.manual_seed(1))]
    stats = replace(unmeasured(100), label=labels)
    strategy = load("rs2", {"fraction": 0.5, "replacement": True, "stratified": True})
    for index in range(10):
        chosen = strategy.plan(epoch_at(100, index), stats).indices
        assert len(set(chosen.tolist())) == 50
        assert torch.bincount(labels[chosen]).tolist() == [25, 15, 10]


def test_what_rounding_leaves_is_drawn_from_all(epoch_at: At, unmeasured: Unmeasured) -> None:
    labels = torch.arange(10) % 3
    strategy = load("rs2", {"fraction": 0.5, "replacement": True, "stratified": True})
    for index in range(10):
        chosen = strategy.plan(epoch_at(10, index), replace(unmeasured(10), label=labels)).indices
        counts = torch.bincount(labels[chosen], minlength=3).tolist()
        assert sum(counts) == 5 and all(count >= least for count, least in zip(counts, (2, 1, 1), strict=True))


def test_stratified_without_classes_is_refused_before_the_start() -> None:
    setup = TrainingSetup(n_train=100, n_classes=3, task="segmentation", epochs=2, global_batch=10)
    strategy = load("rs2", {"replacement": True, "stratified": True})
    assert [parameter for parameter, _ in strategy.problems(setup)] == ["stratified"]
    with pytest.raises(ConfigError, match="stratified goes with replacement"):
        load("rs2", {"stratified": True})
