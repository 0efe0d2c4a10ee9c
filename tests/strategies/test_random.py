"""Random hiding: so many, drawn anew, without replacement."""

from collections.abc import Callable

import numpy as np
import pytest

from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats

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
