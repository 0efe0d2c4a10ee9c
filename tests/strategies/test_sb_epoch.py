"""SB by epochs against a slow restatement: count who is not above, or fill bins one loss at a time."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Literal

import numpy as np
import pytest
import torch

from kbench.strategies import load
from kbench.strategies.api import AsCoded, Epoch, EpochPlan, SampleStats, Strategy
from kbench.strategies.sb_epoch import by_histogram, by_rank

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]
Percentile = Literal["rank", "histogram"]
both = pytest.mark.parametrize("percentile", ["rank", "histogram"])
EDGES: list[float] = torch.linspace(0, 1, 1001, dtype=torch.float64).tolist()


def shares_by_rank(losses: list[float]) -> list[float]:
    return [sum(other <= loss for other in losses) / len(losses) for loss in losses]


def shares_by_histogram(losses: list[float]) -> list[float]:
    """A bin holds its left edge, the last one both; a sample looks in bin int(1000 * place)."""
    low, high = min(losses), max(losses)
    places = [(loss - low) / (high - low) if high > low else 1.0 for loss in losses]
    counts = [0] * 1000
    for place in places:
        counts[min(bisect_right(EDGES, place) - 1, 999)] += 1
    return [sum(counts[: min(int(place * 1000), 999) + 1]) / len(losses) for place in places]


def stats_of(loss: np.ndarray, known: np.ndarray | None = None) -> SampleStats:
    told = torch.tensor(loss, dtype=torch.float32)
    age = torch.zeros(len(told), dtype=torch.int16) - (0 if known is None else torch.tensor(~known).to(torch.int16))
    return SampleStats(told, told < 1, torch.exp(-told), told / 3, age)


@cache
def drawing(beta: float, percentile: Percentile) -> Strategy:
    return load("sb-epoch", {"beta": beta, "percentile": percentile})


def hidden_in(plan: EpochPlan) -> list[int]:
    assert plan.refresh is not None
    return plan.refresh.tolist()


@both
def test_keeps_whom_a_coin_of_its_percentile_keeps(percentile: Percentile, epoch_at: At, stats_case: Case) -> None:
    slowly = {"rank": shares_by_rank, "histogram": shares_by_histogram}[percentile]
    for k in range(300):
        stats, rng = stats_case(k), np.random.default_rng(k)
        n, beta = len(stats.loss), float(rng.choice([0.25, 0.43, 1.0, 2.0, 4.0]))
        stats = replace(stats, age=torch.tensor(rng.integers(-1, 3, size=n), dtype=torch.int16))
        coins = epoch_at(n, 3, seed=k).uniform(n).tolist()
        shares = slowly(stats.loss.tolist())
        plan = drawing(beta, percentile).plan(epoch_at(n, 3, seed=k), stats)
        kept = [i for i in range(n) if coins[i] < shares[i] ** beta or stats.age[i] < 0]
        assert plan.indices.tolist() == kept, k
        assert hidden_in(plan) == sorted(set(range(n)) - set(kept)), k


@pytest.mark.parametrize("size", [2, 3, 5, 11, 101, 1001])
def test_the_histogram_is_theirs_at_the_edges_of_its_bins(size: int) -> None:
    loss = torch.arange(size).float()  # evenly spaced: with 1001 every one lies on an edge
    assert by_histogram(loss).tolist() == shares_by_histogram(loss.tolist())


def test_the_shares_of_a_histogram_are_those_of_a_slow_count(stats_case: Case) -> None:
    for k in range(1000):
        loss = stats_case(k).loss * 10 ** (k % 7 - 3)
        assert by_histogram(loss).tolist() == shares_by_histogram(loss.tolist()), k


def test_the_shares_of_ranks_are_those_of_a_slow_count(stats_case: Case) -> None:
    for k in range(1000):
        loss = stats_case(k).loss
        assert by_rank(loss).tolist() == shares_by_rank(loss.tolist()), k


def test_ties_share_the_highest_rank() -> None:
    assert by_rank(torch.tensor([2.0, 1.0, 1.0, 3.0])).tolist() == [0.75, 0.5, 0.5, 1.0]


@both
@pytest.mark.parametrize("beta", [0.43, 1.0, 4.0])
def test_epoch_0_keeps_everything(
    beta: float, percentile: Percentile, epoch_at: At, unmeasured: Callable[[int], SampleStats]
) -> None:
    plan = drawing(beta, percentile).plan(epoch_at(500, 0), unmeasured(500))
    assert plan.indices.tolist() == list(range(500)) and hidden_in(plan) == []


@both
def test_nobody_is_hidden_unseen(percentile: Percentile, epoch_at: At) -> None:
    strategy = load("sb-epoch", {"beta": 50.0, "percentile": percentile})  # all but the greatest are hidden
    for seed in range(50):
        rng = np.random.default_rng(seed)
        known = rng.random(200) < 0.5
        loss = np.where(known, rng.exponential(size=200) + 3, np.log(10))
        hidden = hidden_in(strategy.plan(epoch_at(200, seed=seed), stats_of(loss, known)))
        assert len(hidden) > 50 and known[hidden].all()


@both
def test_equal_losses_are_all_kept(percentile: Percentile, epoch_at: At) -> None:
    plan = load("sb-epoch", {"percentile": percentile}).plan(epoch_at(100), stats_of(np.full(100, 0.25)))
    assert hidden_in(plan) == []


@pytest.mark.parametrize("beta", [0.25, 0.43, 1.0, 2.0, 3.0, 4.0])
def test_of_untied_losses_one_in_beta_plus_one_is_kept(beta: float, epoch_at: At) -> None:
    n = 20_000
    loss = np.random.default_rng(5).permutation(n)
    kept = len(load("sb-epoch", {"beta": beta}).plan(epoch_at(n), stats_of(loss)).indices)
    chances = (np.arange(1, n + 1) / n) ** beta
    assert abs(kept - chances.sum()) < 4 * (chances * (1 - chances)).sum() ** 0.5
    assert chances.mean() == pytest.approx(1 / (beta + 1), abs=1e-4)


def test_each_is_kept_as_often_as_its_percentile_says(epoch_at: At) -> None:
    loss, n_epochs = np.random.default_rng(2).exponential(size=40), 400
    strategy, kept = load("sb-epoch", {"beta": 2.0}), np.zeros(40)
    for seed in range(n_epochs):
        kept[strategy.plan(epoch_at(40, seed=seed), stats_of(loss)).indices] += 1
    p = np.array(shares_by_rank(loss.tolist())) ** 2
    assert (np.abs(kept - n_epochs * p) <= 4.5 * (n_epochs * p * (1 - p)) ** 0.5).all()


def test_one_great_loss_keeps_nearly_everybody_in_a_histogram_but_not_by_rank(epoch_at: At) -> None:
    loss = np.append(np.random.default_rng(3).random(1000), 1e6)
    by = {
        how: load("sb-epoch", {"percentile": how}).plan(epoch_at(1001), stats_of(loss)) for how in ("rank", "histogram")
    }
    assert len(by["histogram"].indices) > 990 and 400 < len(by["rank"].indices) < 600


@both
def test_each_epoch_draws_anew(percentile: Percentile, epoch_at: At) -> None:
    stats, strategy = stats_of(np.random.default_rng(4).random(200)), load("sb-epoch", {"percentile": percentile})
    assert hidden_in(strategy.plan(epoch_at(200, 1), stats)) != hidden_in(strategy.plan(epoch_at(200, 2), stats))


@pytest.mark.parametrize("shares", [by_rank, by_histogram])
def test_shares_are_exact_beyond_2_to_the_24_samples(shares: Callable[[torch.Tensor], torch.Tensor]) -> None:
    n = 2**24 + 5
    loss = torch.zeros(n)
    loss[:2] = torch.tensor([1.0, 2.0])
    assert shares(loss)[:3].tolist() == [(n - 1) / n, 1.0, (n - 2) / n]


def test_neither_weighs_nor_scales_and_asks_for_the_habits_of_the_code(epoch_at: At) -> None:
    stats = stats_of(np.arange(20.0))
    plan = load("sb-epoch").plan(epoch_at(20), stats)
    assert plan.weights is None and plan.lr_scale == 1.0 and plan.as_coded == AsCoded()
    theirs = load("sb-epoch", {"refresh_in": "train", "lr_clock": "updates"}).plan(epoch_at(20), stats)
    assert theirs.as_coded == AsCoded(refresh_in="train", lr_clock="updates")
