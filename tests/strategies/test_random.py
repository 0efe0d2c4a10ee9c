"""Random hiding: so many, drawn anew, without replacement."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kbench.strategies import load
from kbench.strategies.api import Epoch, EpochCost, SampleStats

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 99, 1442])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.29, 0.3, 0.5, 0.999])
def test_hides_exactly_the_share(n: int, fraction: float, epoch_at: At, unmeasured: Unmeasured) -> None:
    kept = load("random", {"fraction": fraction}).plan(epoch_at(n), unmeasured(n)).indices.tolist()
    assert len(kept) == n - int(fraction * n)
    assert len(set(kept)) == len(kept) and set(kept) <= set(range(n))


def test_hides_the_lowest_of_one_draw_for_each_sample(epoch_at: At, unmeasured: Unmeasured) -> None:
    for k in range(100):
        n = 1 + k % 40
        drawn = epoch_at(n, seed=k).uniform(n).tolist()
        ranked = np.argsort(drawn, kind="stable").tolist()
        kept = load("random", {"fraction": 0.3}).plan(epoch_at(n, seed=k), unmeasured(n)).indices
        assert kept.tolist() == sorted(ranked[int(0.3 * n) :]), k


def test_each_epoch_hides_others(epoch_at: At, unmeasured: Unmeasured) -> None:
    plans = [tuple(load("random").plan(epoch_at(100, index), unmeasured(100)).indices.tolist()) for index in range(20)]
    assert len(set(plans)) == 20


def test_the_same_generator_hides_the_same(epoch_at: At, unmeasured: Unmeasured) -> None:
    first, again = (load("random").plan(epoch_at(100, seed=5), unmeasured(100)).indices for _ in range(2))
    assert first.tolist() == again.tolist()


def test_everyone_is_hidden_equally_often(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy, kept = load("random", {"fraction": 0.5}), np.zeros(40)
    for seed in range(1000):
        kept[strategy.plan(epoch_at(40, seed=seed), unmeasured(40)).indices] += 1
    assert abs(kept - 500).max() < 4 * (1000 * 0.5 * 0.5) ** 0.5


def test_nothing_is_measured_scaled_or_weighted(epoch_at: At, unmeasured: Unmeasured) -> None:
    plan = load("random").plan(epoch_at(10), unmeasured(10))
    assert plan.refresh is None and plan.weights is None and plan.lr_scale == 1.0


# like another run


def spent(epoch: int, n_trained: int, *, n_dropped: int = 0, phase: str = "train", **more: Any) -> EpochCost:
    """An epoch of a run on 100 samples in batches of 10."""
    facts = {"n_scored": 0, "n_refreshed": 0, "forward_s": 1.0, "step_s": 3.0, "n_full": 100, "global_batch": 10}
    own = {"phase": phase, "epoch": epoch, "n_samples": 100, "n_trained": n_trained, "n_dropped": n_dropped}
    return EpochCost(**{**facts, **own, **more})  # type: ignore[arg-type]


def test_leaves_out_as_many_in_each_epoch_as_the_run_that_it_is_like(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = load("random", {"fraction": 0.9, "like": "k"})
    strategy.follow([spent(0, 100), spent(1, 70), spent(2, 60, n_dropped=7), spent(3, 90, n_dropped=5)])
    kept = [strategy.plan(epoch_at(100, index), unmeasured(100)).indices for index in range(4)]
    assert [len(ids) for ids in kept] == [100, 70, 67, 95]
    assert all(len(set(ids.tolist())) == len(ids) for ids in kept)


@pytest.mark.parametrize("n_samples", [100, 103, 109])
def test_trains_on_as_many_as_the_run_that_it_is_like_whatever_that_one_dropped(
    n_samples: int, epoch_at: At, unmeasured: Unmeasured
) -> None:
    """Ranks that choose by themselves may drop more than a batch; the loop trains on whole batches."""
    strategy = load("random", {"like": "sb"})
    for n_trained in range(10, n_samples + 1, 10):
        for n_dropped in range(0, n_samples - n_trained + 1):
            strategy.follow([spent(0, n_trained, n_dropped=n_dropped, n_samples=n_samples)])
            planned = len(strategy.plan(epoch_at(n_samples, 0), unmeasured(n_samples)).indices)
            assert planned // 10 * 10 == n_trained, (n_trained, n_dropped)


def test_leaves_out_nobody_where_the_other_trained_on_repeats(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = load("random", {"like": "iswr"})
    strategy.follow([spent(0, 130)])
    assert len(strategy.plan(epoch_at(100, 0), unmeasured(100)).indices) == 100


def test_only_the_phase_that_counts_is_copied(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = load("random", {"like": "forget"})
    strategy.follow([spent(0, 100, phase="score"), spent(1, 90, phase="score"), spent(0, 80), spent(1, 60)])
    assert [len(strategy.plan(epoch_at(100, i), unmeasured(100)).indices) for i in (0, 1)] == [80, 60]


def test_trains_as_many_epochs_as_the_run_that_it_is_like() -> None:
    strategy = load("random", {"like": "budget"})
    strategy.follow([spent(0, 100), spent(1, 100), spent(2, 100)])
    assert [(phase.name, phase.epochs, phase.horizon) for phase in strategy.phases(8)] == [("train", 3, 3)]
    assert load("random").phases(8)[0].epochs == 8


def test_who_is_left_out_is_drawn_as_without_a_leader(epoch_at: At, unmeasured: Unmeasured) -> None:
    like, alone = load("random", {"like": "k"}), load("random", {"fraction": 0.3})
    like.follow([spent(index, 70) for index in range(5)])
    for index in range(5):
        plans = [one.plan(epoch_at(100, index), unmeasured(100)).indices.tolist() for one in (like, alone)]
        assert plans[0] == plans[1]


def test_the_learning_rate_follows_that_of_the_run_that_it_is_like(epoch_at: At, unmeasured: Unmeasured) -> None:
    past = [spent(0, 100), spent(1, 70, lr_scale=1.43), spent(2, 80, lr_scale=1.25)]
    for lr, expected in (("like", [1.0, 1.43, 1.25]), ("plain", [1.0, 1.0, 1.0])):
        strategy = load("random", {"like": "kakurenbo", "lr": lr})
        strategy.follow(past)
        assert [strategy.plan(epoch_at(100, i), unmeasured(100)).lr_scale for i in range(3)] == expected
