"""Stale-SB against a slow restatement: a deque of losses, and a note of each sample's last one."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, SampleStats

At = Callable[..., Epoch]
BatchOf = Callable[[int], Batch]


def stats_of(loss: np.ndarray) -> SampleStats:
    told = torch.tensor(loss, dtype=torch.float32)
    return SampleStats(told, told < 1, torch.exp(-told), told / 3, torch.zeros(len(told), dtype=torch.int16))


def batch_of(ids: list[int]) -> Batch:
    return Batch(torch.tensor(ids), torch.zeros(len(ids), 1, 2, 2), torch.zeros(len(ids), dtype=torch.int64))


def chances_slowly(losses: list[float], history: deque[float], beta: float) -> list[float]:
    """Append the losses to the history, count who is strictly lower, raise to beta."""
    history.extend(losses)
    return [(sum(past < loss for past in history) / len(history)) ** beta for loss in losses]


def live_slowly_beside(
    k: int, rank: int, size: int, epoch_at: At, probe_of: Any
) -> tuple[list[list[float]], list[list[float]], list[int], list[int]]:
    """The k-th random life of one rank: what it kept, what it should, and how often it looked and should."""
    rng = np.random.default_rng(k)
    n, every, primed = 24, int(rng.integers(1, 5)), int(rng.integers(0, 4))
    window, beta = int(rng.choice([1, 5, 16, 1024])), float(rng.choice([0.0, 0.5, 1.0, 3.0]))
    strategy: Any = load("sb-stale", {"every": every, "prime_epochs": primed, "window": window, "beta": beta})
    history: deque[float] = deque(maxlen=window)
    kept: list[list[float]] = []
    expected: list[list[float]] = []
    looked, due = [], []
    for index in range(9):
        draw = rng.integers(0, 5, size=(2, n)) / 4 if k % 2 else rng.exponential(size=(2, n))
        cached, fresh = draw.astype(np.float32)
        order = rng.permutation(n).reshape(-1, size, 24 // 3 // size)[:, rank].tolist()
        strategy.plan(epoch_at(n, index), stats_of(cached))
        probe = probe_of(epoch_at(n, index), [torch.tensor(fresh[ids]) for ids in order])
        for ids in order:
            got = strategy.select(batch_of(ids), probe)
            if index < primed:
                kept.append([] if got is None else got.tolist())
                expected.append([])
                continue
            source = fresh if index % every == 0 else cached
            chances = chances_slowly(source[ids].tolist(), history, beta)
            kept.append(got.tolist())
            expected.append([float(u < c) for u, c in zip(probe.drawn[-1].tolist(), chances, strict=True)])
        looked.append(probe.asked)
        due.append(len(order) if index >= primed and index % every == 0 else 0)
    return kept, expected, looked, due


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_every_rank_ranks_fresh_losses_where_it_looks_and_cached_ones_elsewhere(
    size: int, epoch_at: At, probe_of: Any
) -> None:
    for k in range(160 // size):
        for rank in range(size):
            kept, expected, looked, due = live_slowly_beside(k, rank, size, epoch_at, probe_of)
            assert kept == expected and looked == due, (k, rank)


@pytest.mark.parametrize(
    ("every", "looks"), [(1, [0, 1, 1, 1, 1, 1, 1]), (2, [0, 0, 1, 0, 1, 0, 1]), (3, [0, 0, 0, 1, 0, 0, 1])]
)
def test_looks_in_epochs_0_k_2k_but_not_where_everything_is_trained_on(
    every: int, looks: list[int], epoch_at: At, probe_of: Any
) -> None:
    strategy, asked = load("sb-stale", {"every": every}), []
    for index in range(7):
        strategy.plan(epoch_at(4, index), stats_of(np.ones(4)))
        probe = probe_of(epoch_at(4, index), [torch.ones(4)])
        strategy.select(batch_of([0, 1, 2, 3]), probe)
        asked.append(probe.asked)
    assert asked == looks


def test_without_priming_epoch_0_is_looked_at(epoch_at: At, probe_of: Any, unmeasured: Callable[[int], Any]) -> None:
    strategy, probe = load("sb-stale", {"prime_epochs": 0}), probe_of(epoch_at(4, 0), [torch.ones(4)])
    strategy.plan(epoch_at(4, 0), unmeasured(4))
    assert strategy.select(batch_of([0, 1, 2, 3]), probe) is not None and probe.asked == 1


def test_looking_in_every_epoch_is_selective_backprop(epoch_at: At, probe_of: Any) -> None:
    rng = np.random.default_rng(0)
    answers = []
    for name, params in (("sb", {}), ("sb-stale", {"every": 1})):
        strategy: Any = load(name, params)
        kept = []
        for index in range(1, 5):
            strategy.plan(epoch_at(6, index), stats_of(rng.exponential(size=6)))
            losses = torch.rand(6, generator=torch.Generator().manual_seed(index))
            answer = strategy.select(batch_of(list(range(6))), probe_of(epoch_at(6, index), [losses]))
            assert answer is not None
            kept.append(answer.tolist())
        answers.append(kept)
    assert answers[0] == answers[1]


def test_cached_losses_are_those_of_the_samples_in_the_batch(epoch_at: At, probe_of: Any) -> None:
    strategy: Any = load("sb-stale", {"beta": 1e-9})  # all but the lowest are kept
    strategy.plan(epoch_at(6, 1), stats_of(np.array([5, 1, 4, 0, 3, 2])))
    kept = strategy.select(batch_of([2, 3, 5]), probe_of(epoch_at(6, 1), []))
    assert kept is not None and kept.tolist() == [1.0, 0.0, 1.0] and strategy.recent.tolist() == [4.0, 0.0, 2.0]


def test_cached_losses_are_let_go_of_where_it_looks(epoch_at: At) -> None:
    strategy: Any = load("sb-stale", {"every": 2})
    strategy.plan(epoch_at(3, 1), stats_of(np.ones(3)))
    assert strategy.cached is not None
    strategy.plan(epoch_at(3, 2), stats_of(np.ones(3)))
    assert strategy.cached is None


def test_plans_everything_at_the_scheduled_learning_rate(epoch_at: At) -> None:
    plan = load("sb-stale").plan(epoch_at(9, 2), stats_of(np.ones(9)))
    assert plan.indices.tolist() == list(range(9))
    assert plan.weights is None and plan.lr_scale == 1.0 and plan.refresh is None and plan.candidate_batches == 1
