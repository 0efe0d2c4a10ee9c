"""EL2N pruning against a slow restatement: rank all by the error norm, leave out the easiest, once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kbench.strategies import load
from kbench.strategies.api import Epoch, Phase, SampleStats, Strategy
from kbench.strategies.prune_el2n import PruneEL2N

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


def pruning(**params: Any) -> Strategy:
    """A fresh one, which remembers nothing, made without asking pydantic: thousands are needed."""
    return PruneEL2N(**params)


def survivors_slowly(error_norm: list[float], fraction: float) -> list[int]:
    """Walk up the error norms, ties by id, and strike out the first ``int(fraction * n)``."""
    climbing = sorted(range(len(error_norm)), key=lambda i: (error_norm[i], i))
    return sorted(climbing[int(fraction * len(error_norm)) :])


def test_prunes_the_lowest_error_norms(epoch_at: At, stats_case: Case) -> None:
    for k in range(2000):
        stats = stats_case(k)
        n, fraction = len(stats.loss), float(np.random.default_rng(k).choice([0.0, 0.01, 0.3, 0.5, 0.7, 0.99]))
        plan = pruning(fraction=fraction).plan(epoch_at(n, 0), stats)
        assert plan.indices.tolist() == survivors_slowly(stats.error_norm.tolist(), fraction), k


def test_ties_go_to_the_lower_id(epoch_at: At, stats_case: Case) -> None:
    stats = stats_case(6)
    stats.error_norm[:] = 0.5
    n = len(stats.loss)
    kept = load("prune-el2n", {"fraction": 0.4}).plan(epoch_at(n, 0), stats).indices
    assert kept.tolist() == list(range(int(0.4 * n), n))


def test_decides_once(epoch_at: At, stats_case: Case) -> None:
    stats = stats_case(5)
    n, strategy = len(stats.loss), load("prune-el2n", {"fraction": 0.5})
    first = strategy.plan(epoch_at(n, 0), stats).indices.tolist()
    for index in range(1, 6):
        later = SampleStats(stats.loss, stats.correct, stats.confidence, stats.error_norm.flip(0), stats.age)
        assert strategy.plan(epoch_at(n, index), later).indices.tolist() == first


def test_scores_on_everything_and_measures_everyone_at_the_end_only(epoch_at: At, unmeasured: Case) -> None:
    strategy = load("prune-el2n", {"score_epochs": 4})
    plans = [strategy.plan(epoch_at(9, index, epochs=4, phase="score"), unmeasured(9)) for index in range(4)]
    assert all(plan.indices.tolist() == list(range(9)) for plan in plans)
    assert [plan.refresh is None for plan in plans] == [True, True, True, False]
    assert plans[-1].refresh is not None and plans[-1].refresh.tolist() == list(range(9))


def test_what_scoring_saw_on_its_way_does_not_count(epoch_at: At, stats_case: Case) -> None:
    for k in range(200):
        stats = stats_case(k)
        n, strategy = len(stats.loss), pruning(score_epochs=3, fraction=0.5)
        for index in range(3):
            strategy.plan(epoch_at(n, index, epochs=3, phase="score"), stats_case(k))
        assert strategy.plan(epoch_at(n, 0), stats).indices.tolist() == survivors_slowly(
            stats.error_norm.tolist(), 0.5
        ), k


def test_a_sample_that_nobody_measured_is_not_pruned(epoch_at: At, unmeasured: Case) -> None:
    stats = unmeasured(10)
    stats.age[:5] = 0
    assert load("prune-el2n", {"fraction": 0.9}).plan(epoch_at(10, 0), stats).indices.tolist() == [5, 6, 7, 8, 9]


def test_a_fraction_of_zero_prunes_nobody(epoch_at: At, stats_case: Case) -> None:
    stats = stats_case(4)
    n = len(stats.loss)
    assert load("prune-el2n", {"fraction": 0.0}).plan(epoch_at(n, 0), stats).indices.tolist() == list(range(n))


@pytest.mark.parametrize(("score_epochs", "epochs", "horizon"), [(20, 200, 200), (20, 5, 20)])
def test_scores_along_the_beginning_of_the_full_schedule(score_epochs: int, epochs: int, horizon: int) -> None:
    score, train = load("prune-el2n", {"score_epochs": score_epochs}).phases(epochs)
    assert score == Phase(name="score", epochs=score_epochs, horizon=horizon)
    assert train == Phase(name="train", epochs=epochs, horizon=epochs)


def test_neither_weighs_nor_scales_nor_refreshes_in_training(epoch_at: At, stats_case: Case) -> None:
    stats = stats_case(8)
    plan = load("prune-el2n").plan(epoch_at(len(stats.loss), 3), stats)
    assert plan.weights is None and plan.lr_scale == 1.0 and plan.refresh is None


def test_beyond_2_to_the_24_samples_the_count_is_exact(epoch_at: At) -> None:
    n = 2**24 + 7
    nothing = torch.zeros(n)
    stats = SampleStats(nothing, nothing > 0, nothing, nothing, torch.zeros(n, dtype=torch.int16))
    kept = load("prune-el2n", {"fraction": 0.5}).plan(epoch_at(n, 0), stats).indices
    assert len(kept) == n - n // 2 and int(kept[0]) == n // 2 and int(kept[-1]) == n - 1


def test_as_many_steps_as_on_everything_take_more_epochs_and_a_schedule_over_them() -> None:
    _, train = load("prune-el2n", {"fraction": 0.5, "length": "steps"}).phases(10)
    assert (train.epochs, train.horizon) == (20, 20)
    assert load("prune-el2n", {"fraction": 0.5}).phases(10)[1].epochs == 10
