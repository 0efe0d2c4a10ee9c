"""ISWR: draws with replacement in proportion to the loss."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


def with_losses(losses: np.ndarray) -> SampleStats:
    n = len(losses)
    loss = torch.tensor(losses, dtype=torch.float32)
    return SampleStats(loss, loss < 1, torch.exp(-loss), loss / 3, torch.zeros(n, dtype=torch.int16))


def drawn_slowly(loss: np.ndarray, uniform: np.ndarray) -> list[int]:
    """Lay the losses end to end and see on whom each point falls."""
    loss = np.ones_like(loss) if loss.sum() == 0 else loss
    ends = np.cumsum(loss / loss.sum())
    return [next(i for i, end in enumerate(ends) if u * ends[-1] < end) for u in uniform]


def test_draws_whom_the_points_fall_on(epoch_at: At, stats_case: Case) -> None:
    strategy = load("iswr")
    for k in range(200):
        stats = stats_case(k)
        n = len(stats.loss)
        points = epoch_at(n, seed=k).uniform(n).numpy()
        got = strategy.plan(epoch_at(n, seed=k), stats).indices.tolist()
        assert got == sorted(drawn_slowly(stats.loss.double().numpy(), points)), k  # the engine shuffles


def test_draws_follow_the_losses(epoch_at: At) -> None:
    losses = np.random.default_rng(0).exponential(size=200)
    strategy, counts = load("iswr"), np.zeros(200)
    for seed in range(200):
        drawn = strategy.plan(epoch_at(200, seed=seed), with_losses(losses)).indices
        counts += np.bincount(drawn, minlength=200)
    expected = losses.astype(np.float32) / losses.astype(np.float32).sum(dtype=np.float64) * counts.sum()
    assert chisquare(counts, expected, sum_check=False).pvalue > 1e-3


def test_draws_as_many_as_there_are_samples(epoch_at: At, stats_case: Case) -> None:
    strategy = load("iswr")
    for k in range(60):
        stats = stats_case(k)
        n = len(stats.loss)
        drawn = strategy.plan(epoch_at(n, seed=k), stats).indices
        assert len(drawn) == n and drawn.min() >= 0 and drawn.max() < n, k


@pytest.mark.parametrize("place", ["first", "middle", "last", "all but one"])
def test_a_sample_without_loss_is_never_drawn(place: str, epoch_at: At) -> None:
    losses = np.full(50, 0.3)
    without = {"first": range(10), "middle": range(20, 30), "last": range(40, 50), "all but one": range(1, 50)}[place]
    losses[list(without)] = 0
    strategy, stats = load("iswr"), with_losses(losses)
    drawn = {i for seed in range(50) for i in strategy.plan(epoch_at(50, seed=seed), stats).indices.tolist()}
    assert not drawn & set(without)


def test_uniform_when_no_sample_has_a_loss(epoch_at: At) -> None:
    strategy, stats = load("iswr"), with_losses(np.zeros(100))
    plans = [strategy.plan(epoch_at(100, seed=seed), stats) for seed in range(100)]
    counts = sum(np.bincount(plan.indices, minlength=100) for plan in plans)
    assert chisquare(counts).pvalue > 1e-3


def test_epoch_0_is_uniform(epoch_at: At, unmeasured: Case) -> None:
    strategy, stats = load("iswr"), unmeasured(100)
    plans = [strategy.plan(epoch_at(100, 0, seed=seed), stats) for seed in range(100)]
    assert chisquare(sum(np.bincount(plan.indices, minlength=100) for plan in plans)).pvalue > 1e-3


def test_each_epoch_draws_anew(epoch_at: At, unmeasured: Case) -> None:
    first, second = (load("iswr").plan(epoch_at(100, index), unmeasured(100)).indices for index in (1, 2))
    assert first.tolist() != second.tolist()


def test_unbiased_weights_are_one_over_n_p(epoch_at: At, stats_case: Case) -> None:
    strategy = load("iswr", {"unbiased": True})
    for k in range(100):
        stats = stats_case(k)
        n, loss = len(stats.loss), stats.loss.double().numpy()
        if not loss.sum():
            loss = np.ones(n)
        weights = strategy.plan(epoch_at(n), stats).weights
        some = loss > 0
        assert weights is not None
        assert weights.numpy()[some] == pytest.approx(loss.sum() / (n * loss[some]), rel=1e-5), k


def test_the_weighted_mean_of_many_draws_is_the_mean_of_all(epoch_at: At) -> None:
    rng = np.random.default_rng(1)
    losses, values = rng.exponential(size=100) + 0.05, rng.normal(size=100)
    strategy, means = load("iswr", {"unbiased": True}), []
    for seed in range(300):
        plan = strategy.plan(epoch_at(100, seed=seed), with_losses(losses))
        assert plan.weights is not None
        means.append(float((plan.weights * torch.tensor(values))[plan.indices].mean()))
    assert abs(np.mean(means) - values.mean()) < 4 * np.std(means) / len(means) ** 0.5


def test_losses_are_not_weighted_unless_asked(epoch_at: At, unmeasured: Case) -> None:
    assert load("iswr").plan(epoch_at(20), unmeasured(20)).weights is None


def test_everyone_is_measured_again_after_the_epoch(epoch_at: At, unmeasured: Case) -> None:
    plan = load("iswr").plan(epoch_at(20), unmeasured(20))
    assert plan.refresh is not None and plan.refresh.tolist() == list(range(20)) and plan.lr_scale == 1.0
