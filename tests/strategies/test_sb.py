"""Selective-Backprop against a slow restatement: a deque of losses, counted one by one."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch
from kbench.strategies.sb import percentile

At = Callable[..., Epoch]
BatchOf = Callable[[int], Batch]


def chances_slowly(losses: list[list[float]], window: int, beta: float) -> list[list[float]]:
    """For each batch: append its losses to the history, count who is strictly lower, raise to beta."""
    history: deque[float] = deque(maxlen=window)
    chances = []
    for batch in losses:
        history.extend(batch)
        chances.append([(sum(past < loss for past in history) / len(history)) ** beta for loss in batch])
    return chances


def loss_batches(k: int) -> list[torch.Tensor]:
    """The k-th random series of batches; every second one is full of ties."""
    rng = np.random.default_rng(k)
    sizes = rng.integers(1, 12, size=6)
    drawn = [rng.integers(0, 3, size=b) / 2 if k % 2 else rng.exponential(size=b) for b in sizes]
    return [torch.tensor(losses, dtype=torch.float32) for losses in drawn]


def test_keeps_whom_a_coin_of_the_percentile_keeps(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    for k in range(300):
        losses, rng = loss_batches(k), np.random.default_rng(1000 + k)
        window, beta = int(rng.choice([1, 4, 9, 1024])), float(rng.choice([0.5, 1.0, 2.0, 3.0]))
        strategy, probe = load("sb", {"window": window, "beta": beta}), probe_of(epoch_at(100, 1), losses)
        kept = [strategy.select(batch_of(len(batch)), probe) for batch in losses]
        expected = chances_slowly([batch.tolist() for batch in losses], window, beta)
        for got, uniform, chance in zip(kept, probe.drawn, expected, strict=True):
            assert got is not None
            assert got.tolist() == [float(u < c) for u, c in zip(uniform.tolist(), chance, strict=True)], k


def test_percentile_counts_the_strictly_lower() -> None:
    for k in range(200):
        rng = np.random.default_rng(k)
        among, loss = rng.integers(0, 6, size=rng.integers(1, 40)), rng.integers(-1, 7, size=9)
        got = percentile(torch.tensor(loss, dtype=torch.float32), torch.tensor(among, dtype=torch.float32))
        assert got.tolist() == pytest.approx([(among < x).sum() / len(among) for x in loss]), k


def test_a_tie_is_not_lower(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    losses = [torch.full((8,), 1.5)] * 20
    strategy, probe = load("sb", {"beta": 0.01}), probe_of(epoch_at(100, 1), losses)
    assert not any(strategy.select(batch_of(8), probe).any() for _ in losses)


def test_the_lowest_loss_is_never_kept(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    strategy = load("sb", {"beta": 0.001})  # anyone else is all but sure to be kept
    losses = [torch.tensor([-float(i), 5.0, 6.0]) for i in range(200)]
    probe = probe_of(epoch_at(100, 1), losses)
    kept = torch.stack([strategy.select(batch_of(3), probe) for _ in losses])
    assert not kept[:, 0].any() and kept[:, 1:].mean() > 0.98


@pytest.mark.parametrize("beta", [0.43, 1.0, 2.0, 3.0])
def test_of_exchangeable_losses_one_in_beta_plus_one_is_kept(
    beta: float, epoch_at: At, probe_of: Any, batch_of: BatchOf
) -> None:
    rng = np.random.default_rng(3)
    losses = [torch.tensor(rng.exponential(size=128), dtype=torch.float32) for _ in range(160)]
    strategy, probe = load("sb", {"beta": beta}), probe_of(epoch_at(100, 1), losses)
    kept = torch.cat([strategy.select(batch_of(128), probe) for _ in losses][8:])  # with a full window
    p, n = 1 / (beta + 1), len(kept)
    # Two parts: the coins, and the window of 1024 whose percentiles are a little below uniform (by 1/2048).
    assert abs(kept.mean().item() - p) < 4 * (p * (1 - p) / n) ** 0.5 + 0.002


def test_primed_epochs_keep_the_batch_as_it_is_and_look_at_nothing(
    epoch_at: At, probe_of: Any, batch_of: BatchOf
) -> None:
    strategy = load("sb", {"prime_epochs": 2})
    for index in (0, 1):
        probe = probe_of(epoch_at(100, index), [torch.ones(4)])
        assert strategy.select(batch_of(4), probe) is None and probe.asked == 0
    probe = probe_of(epoch_at(100, 2), [torch.ones(4)])
    assert strategy.select(batch_of(4), probe) is not None and probe.asked == 1


def test_the_default_primes_one_epoch(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    assert load("sb").select(batch_of(4), probe_of(epoch_at(100, 0), [])) is None
    assert load("sb").select(batch_of(4), probe_of(epoch_at(100, 1), [torch.ones(4)])) is not None


def test_without_priming_the_first_batch_is_weighed(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    strategy, probe = load("sb", {"prime_epochs": 0}), probe_of(epoch_at(100, 0), [torch.ones(4)])
    assert strategy.select(batch_of(4), probe) is not None


def test_losses_that_left_the_window_are_forgotten(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    losses = [torch.tensor([100.0, 100.0]), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    strategy = load("sb", {"window": 4})
    probe = probe_of(epoch_at(100, 1), losses)
    for _ in losses:
        strategy.select(batch_of(2), probe)
    assert strategy.recent.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_the_window_outlives_the_epoch(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    strategy = load("sb", {"beta": 0.001})
    strategy.select(batch_of(3), probe_of(epoch_at(100, 1), [torch.tensor([1.0, 2.0, 3.0])]))
    kept = strategy.select(batch_of(2), probe_of(epoch_at(100, 2), [torch.tensor([4.0, 4.0])]))
    assert kept.tolist() == [1.0, 1.0]  # alone, two ties would both be the lowest


def test_plans_everything_at_the_scheduled_learning_rate(epoch_at: At, unmeasured: Any) -> None:
    plan = load("sb").plan(epoch_at(9, 3), unmeasured(9))
    assert plan.indices.tolist() == list(range(9))
    assert plan.weights is None and plan.lr_scale == 1.0 and plan.refresh is None
