"""AutoAssist against a slow restatement: a logistic regression by hand, five batches late."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, Measured, SampleStats, load_state_dict, state_dict
from kbench.strategies.autoassist import AutoAssist

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]
N, CLASSES, LAG = 100, 10, 5  # CLASSES: those of epoch_at
SHAPES = [(1, 2, 2), (3, 2, 4), (7,)]


class ByHand:
    """The assistant in float64, one sample and one weight at a time."""

    def __init__(self, d: int, *, lr: float, l2: float, target: str) -> None:
        self.lr, self.l2, self.target = lr, l2, target
        self.w, self.u = [0.0] * d, [0.0] * CLASSES
        self.loss_sum = self.n_sum = 0.0

    def worth(self, x: list[float], y: int) -> float:
        return 1 / (1 + math.exp(-sum(w * value for w, value in zip(self.w, x, strict=True)) - self.u[y]))

    def learn(self, xs: list[list[float]], ys: list[int], losses: list[float], right: list[bool]) -> None:
        self.loss_sum = 0.75 * self.loss_sum + 0.25 * sum(losses)
        self.n_sum = 0.75 * self.n_sum + 0.25 * len(losses)
        mean = self.loss_sum / self.n_sum
        step_w, step_u = [self.l2 * w for w in self.w], [0.0] * CLASSES
        for x, y, loss, correct in zip(xs, ys, losses, right, strict=True):
            label = loss > mean if self.target == "loss" else not correct
            error = self.worth(x, y) - label
            step_u[y] += error + self.l2 * self.u[y]
            for i, value in enumerate(x):
                step_w[i] += error * value
        rate = self.lr / len(ys)
        self.w = [w - rate * step for w, step in zip(self.w, step_w, strict=True)]
        self.u = [u - rate * step for u, step in zip(self.u, step_u, strict=True)]


def random_batch(rng: np.random.Generator, size: int, shape: tuple[int, ...]) -> tuple[Batch, Measured]:
    x = torch.tensor(rng.normal(size=(size, *shape)), dtype=torch.float32)
    y = torch.tensor(rng.integers(0, CLASSES, size=size))
    loss = torch.tensor(rng.exponential(size=size), dtype=torch.float32)
    return Batch(torch.arange(size), x, y), Measured(loss, loss < 0.7, torch.exp(-loss), loss)


def in_lists(batch: Batch, m: Measured) -> tuple[list[list[float]], list[int], list[float], list[bool]]:
    return batch.x.flatten(1).tolist(), batch.y.tolist(), m.loss.tolist(), m.correct.tolist()


def accepted(strategy: AutoAssist, batch: Batch, probe: Any) -> list[float]:
    weight = strategy.select(batch, probe)
    assert weight.dtype == torch.float32
    return [float(w) for w in weight]


@pytest.mark.parametrize("target", ["loss", "wrong"])
def test_accepts_by_what_an_assistant_says_that_is_five_batches_behind(
    target: str, epoch_at: At, unmeasured: Unmeasured, probe_of: Any
) -> None:
    n_close = n_told = 0
    for k in range(250):
        rng = np.random.default_rng(k)
        shape, base, lr, l2 = SHAPES[k % 3], float(rng.random()), [0.01, 1.0, 5.0][k % 3], [1e-3, 0.0, 0.3][k % 3]
        strategy = AutoAssist(base_prob=base, lr=lr, l2=l2, target=target)  # type: ignore[arg-type]
        by_hand = ByHand(math.prod(shape), lr=lr, l2=l2, target=target)
        past: list[tuple[Batch, Measured]] = []
        probe = probe_of(epoch_at(N), [], rng=torch.Generator().manual_seed(k))
        strategy.plan(epoch_at(N), unmeasured(N))
        for step in range(12):
            batch, measured = random_batch(rng, int(rng.integers(1, 9)), shape)
            if len(past) > LAG:
                by_hand.learn(*in_lists(*past[len(past) - 1 - LAG]))
            kept = accepted(strategy, batch, probe)
            xs, ys, _, _ = in_lists(batch, measured)
            for x, y, u, weight in zip(xs, ys, probe.drawn[-1].tolist(), kept, strict=True):
                chance = base + (1 - base) * by_hand.worth(x, y)
                n_close += abs(u - chance) < 1e-5
                n_told += 1
                assert abs(u - chance) < 1e-5 or weight == (u < chance), (k, step)
            assert strategy.pixels is not None and strategy.labels is not None
            assert strategy.pixels.tolist() == pytest.approx(by_hand.w, abs=1e-4)
            assert strategy.labels.tolist() == pytest.approx(by_hand.u, abs=1e-4)
            strategy.observe(batch, measured)
            past.append((batch, measured))
    assert n_close < 0.001 * n_told


def test_an_untrained_assistant_lets_half_of_the_rest_pass(epoch_at: At, unmeasured: Unmeasured, probe_of: Any) -> None:
    for base in (0.0, 0.3, 0.8):
        strategy, n = load("autoassist", {"base_prob": base}), 100_000
        strategy.plan(epoch_at(n, 0), unmeasured(n))
        batch = Batch(torch.arange(n), torch.ones(n, 1, 2, 2), torch.zeros(n, dtype=torch.int64))
        weight = strategy.select(batch, probe_of(epoch_at(n, 0), []))
        chance = base + (1 - base) / 2
        assert isinstance(weight, torch.Tensor)
        assert abs(float(weight.double().mean()) - chance) < 5 * math.sqrt(chance * (1 - chance) / n)


def test_a_base_probability_of_one_keeps_all(epoch_at: At, unmeasured: Unmeasured, probe_of: Any) -> None:
    strategy, rng = AutoAssist(base_prob=1.0, lr=5.0), np.random.default_rng(0)
    strategy.plan(epoch_at(N), unmeasured(N))
    probe = probe_of(epoch_at(N), [])
    for _ in range(30):
        batch, measured = random_batch(rng, 16, (1, 2, 2))
        assert accepted(strategy, batch, probe) == [1.0] * 16
        strategy.observe(batch, measured)


def test_learns_to_let_the_hard_ones_pass(epoch_at: At, unmeasured: Unmeasured, probe_of: Any) -> None:
    strategy, rng = AutoAssist(base_prob=0.0, lr=1.0), np.random.default_rng(1)
    strategy.plan(epoch_at(N), unmeasured(N))
    probe = probe_of(epoch_at(N), [])
    kept = []
    for _ in range(200):
        batch, _ = random_batch(rng, 32, (4,))
        hard = (batch.x[:, 0] > 0) ^ (batch.y == 3)  # told by the input and the class together
        kept.append((hard, torch.tensor(accepted(strategy, batch, probe)) > 0))
        loss = hard.float() + 0.1
        strategy.observe(batch, Measured(loss, ~hard, loss, loss))
    hard, let_pass = (torch.cat(column[150:]) for column in zip(*kept, strict=True))
    assert float(let_pass[hard].float().mean()) > 0.75 > 0.3 > float(let_pass[~hard].float().mean())


def test_looks_at_nothing_through_the_model(epoch_at: At, unmeasured: Unmeasured, probe_of: Any) -> None:
    strategy, probe = AutoAssist(), probe_of(epoch_at(N), [])
    plan = strategy.plan(epoch_at(N), unmeasured(N))
    accepted(strategy, random_batch(np.random.default_rng(0), 8, (1, 2, 2))[0], probe)
    assert probe.asked == 0
    assert plan.indices.tolist() == list(range(N)) and plan.weights is None and plan.refresh is None


def test_batches_trained_after_the_last_look_of_an_epoch_are_not_learnt_from(
    epoch_at: At, unmeasured: Unmeasured, probe_of: Any
) -> None:
    strategy, rng = AutoAssist(lr=1.0), np.random.default_rng(2)
    for index in range(2):
        strategy.plan(epoch_at(N, index), unmeasured(N))
        probe = probe_of(epoch_at(N, index), [])
        batch, measured = random_batch(rng, 8, (1, 2, 2))
        accepted(strategy, batch, probe)
        assert probe.open == []
        strategy.observe(batch, measured)


def settle(probe: Any) -> None:
    """End an epoch as the loop does."""
    for made, then in probe.open:
        then(made)


def epochs_of(
    strategies: list[AutoAssist], epoch_at: At, unmeasured: Unmeasured, probe_of: Any
) -> tuple[list[list[float]], dict[str, Any]]:
    """What was accepted in as many epochs as there are strategies, and the last one's memory; each inherits it."""
    told, past = [], state_dict(strategies[0])
    for index, strategy in enumerate(strategies):
        load_state_dict(strategy, past)
        strategy.plan(epoch_at(N, index), unmeasured(N))
        probe = probe_of(epoch_at(N, index), [], rng=torch.Generator().manual_seed(index))
        rng = np.random.default_rng(index)
        for _ in range(9):
            batch, measured = random_batch(rng, 16, (1, 2, 2))
            told.append(accepted(strategy, batch, probe))
            strategy.observe(batch, measured)
        settle(probe)
        past = state_dict(strategy)
    return told, past


def test_goes_on_after_an_epoch_from_its_memory_alone(epoch_at: At, unmeasured: Unmeasured, probe_of: Any) -> None:
    one = AutoAssist(lr=2.0)
    told, end = epochs_of([one] * 4, epoch_at, unmeasured, probe_of)
    told_anew, end_anew = epochs_of([AutoAssist(lr=2.0) for _ in range(4)], epoch_at, unmeasured, probe_of)
    assert told == told_anew and end.keys() == end_anew.keys() == {"pixels", "labels", "sums"}
    assert all(torch.equal(end[name], end_anew[name]) for name in end)


@pytest.mark.parametrize("params", [{"base_prob": 1.1}, {"lr": 0.0}, {"l2": -1.0}, {"target": "both"}])
def test_a_parameter_out_of_its_range_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        load("autoassist", params)
