"""KAKURENBO against a slow restatement of its rule: the lowest losses, and of these the right and sure ones."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, Strategy

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


def hidden_slowly(stats: SampleStats, n_candidates: int, tau: float) -> list[int]:
    """Walk up the losses, ties by id; of the first ``n_candidates`` hide who is right and at least ``tau`` sure."""
    loss, sure = stats.loss.numpy(), stats.confidence.numpy()
    climbing = sorted(range(len(loss)), key=lambda i: (loss[i], i))
    return sorted(i for i in climbing[:n_candidates] if stats.correct[i] and sure[i] >= np.float32(tau))


def case_params(k: int) -> tuple[float, float]:
    rng = np.random.default_rng(10_000 + k)
    return float(rng.choice([0.0, 0.01, 0.3, 0.5, 0.99])), float(rng.choice([0.0, 0.5, 0.7, 1.0]))


@cache
def hiding(fraction: float, tau: float, lr_from: str = "ceiling") -> Strategy:
    return load("kakurenbo", {"fraction": fraction, "confidence": tau, "lr_from": lr_from})


def sure(n: int, *, losses: list[float] | None = None) -> SampleStats:
    """n samples, all of them right and certain, of growing loss."""
    loss = torch.arange(n, dtype=torch.float32) / n if losses is None else torch.tensor(losses)
    return SampleStats(
        loss, torch.ones(n, dtype=torch.bool), torch.ones(n), torch.zeros(n), torch.zeros(n, dtype=torch.int16)
    )


def test_hides_what_the_rule_hides(epoch_at: At, stats_case: Case) -> None:
    for k in range(400):
        stats, (fraction, tau) = stats_case(k), case_params(k)
        n = len(stats.loss)
        plan = hiding(fraction, tau).plan(epoch_at(n, 1), stats)
        hidden = hidden_slowly(stats, int(fraction * n), tau)
        assert plan.refresh is not None and plan.refresh.tolist() == hidden, k
        assert plan.indices.tolist() == [i for i in range(n) if i not in hidden], k


def test_never_hides_more_than_the_ceiling_nor_anyone_wrong_or_unsure(epoch_at: At, stats_case: Case) -> None:
    for k in range(400):
        stats, (fraction, tau) = stats_case(k), case_params(k)
        n = len(stats.loss)
        hidden = hiding(fraction, tau).plan(epoch_at(n, 1), stats).refresh
        assert hidden is not None and len(hidden) <= int(fraction * n), k
        assert stats.correct[hidden].all() and (stats.confidence[hidden] >= tau).all(), k


def test_hides_nobody_in_epoch_0(epoch_at: At, unmeasured: Case) -> None:
    plan = load("kakurenbo", {"confidence": 0.0}).plan(epoch_at(50, 0), unmeasured(50))
    assert plan.refresh is not None and len(plan.refresh) == 0 and plan.indices.tolist() == list(range(50))


def test_hides_the_whole_ceiling_when_everyone_is_right_and_sure(epoch_at: At) -> None:
    plan = load("kakurenbo", {"fraction": 0.3}).plan(epoch_at(10, 1), sure(10))
    assert plan.refresh is not None and plan.refresh.tolist() == [0, 1, 2]


def test_who_is_moved_back_is_not_replaced(epoch_at: At) -> None:
    stats = sure(10)
    stats.correct[1] = False
    plan = load("kakurenbo", {"fraction": 0.3}).plan(epoch_at(10, 1), stats)
    assert plan.refresh is not None and plan.refresh.tolist() == [0, 2]


def test_ties_go_to_the_lower_id(epoch_at: At) -> None:
    stats = sure(1000, losses=[0.5] * 1000)
    plan = load("kakurenbo", {"fraction": 0.25}).plan(epoch_at(1000, 1), stats)
    assert plan.refresh is not None and plan.refresh.tolist() == list(range(250))


def test_a_confidence_of_exactly_tau_is_enough(epoch_at: At) -> None:
    stats = sure(4)
    stats.confidence[:] = torch.tensor([0.5, 0.4999, 0.5, 0.5])
    plan = load("kakurenbo", {"fraction": 0.75, "confidence": 0.5}).plan(epoch_at(4, 1), stats)
    assert plan.refresh is not None and plan.refresh.tolist() == [0, 2]


def test_the_default_ceiling_falls_at_epochs_30_60_and_80(epoch_at: At) -> None:
    strategy = load("kakurenbo")
    by_epoch = {29: 300, 30: 240, 59: 240, 60: 180, 79: 180, 80: 120, 500: 120}
    for index, n_hidden in by_epoch.items():
        plan = strategy.plan(epoch_at(1000, index, epochs=501), sure(1000))
        assert plan.refresh is not None and len(plan.refresh) == n_hidden, index


def test_a_ceiling_without_milestones_is_constant(epoch_at: At) -> None:
    strategy = load("kakurenbo", {"fraction": 0.5, "milestones": [], "shares": [0.5]})
    sizes = {len(strategy.plan(epoch_at(100, index), sure(100)).indices) for index in range(1, 10)}
    assert sizes == {75}


@pytest.mark.parametrize("index", [1, 2, 5, 6])
def test_the_learning_rate_makes_up_for_the_ceiling_whatever_is_hidden(
    index: int, epoch_at: At, unmeasured: Case
) -> None:
    strategy = load("kakurenbo", {"fraction": 0.4, "milestones": [2, 6], "shares": [1.0, 0.5, 0.25]})
    ceiling = 0.4 * (1.0 if index < 2 else 0.5 if index < 6 else 0.25)
    for stats in (unmeasured(20), sure(20)):
        assert strategy.plan(epoch_at(20, index), stats).lr_scale == pytest.approx(1 / (1 - ceiling))


def test_the_learning_rate_makes_up_for_what_is_hidden_when_asked_to(epoch_at: At, stats_case: Case) -> None:
    for k in range(200):
        stats, (fraction, tau) = stats_case(k), case_params(k)
        n = len(stats.loss)
        strategy = hiding(fraction, tau, "hidden")
        n_hidden = len(hidden_slowly(stats, int(fraction * n), tau))
        assert strategy.plan(epoch_at(n, 1), stats).lr_scale == pytest.approx(n / (n - n_hidden)), k


@pytest.mark.parametrize("lr_from", ["ceiling", "hidden"])
def test_the_learning_rate_is_left_alone_during_the_warm_up(lr_from: str, epoch_at: At) -> None:
    plan = load("kakurenbo", {"lr_from": lr_from}).plan(epoch_at(100, 1, warmup=True), sure(100))
    assert plan.lr_scale == 1.0 and len(plan.indices) == 70


def test_no_loss_is_weighted(epoch_at: At) -> None:
    assert load("kakurenbo").plan(epoch_at(100, 1), sure(100)).weights is None


def test_lr_scale_at_the_papers_fraction_is_ten_sevenths(epoch_at: At) -> None:
    assert math.isclose(load("kakurenbo").plan(epoch_at(100, 1), sure(100)).lr_scale, 10 / 7)


@pytest.mark.parametrize(
    "params", [{"shares": [1.0, 0.5]}, {"milestones": [60, 30, 80]}, {"milestones": [30, 30, 60]}, {"lr_from": "both"}]
)
def test_an_inconsistent_schedule_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        load("kakurenbo", params)
