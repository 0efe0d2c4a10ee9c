"""KF18 against a slow restatement of Algorithm 1 of arXiv:1803.00942, with the paper's own formula for tau."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, Measured
from kbench.strategies.kf18 import shares

At = Callable[..., Epoch]
BatchOf = Callable[[int], Batch]


def shares_slowly(error_norms: list[float]) -> list[float]:
    total = sum(error_norms)
    return [r / total if total else 1 / len(error_norms) for r in error_norms]


def gain_slowly(g: list[float], *, root: bool) -> float:
    """The paper's (1 - |g - u|^2 / sum g^2)^(-1), or its root."""
    u = 1 / len(g)
    rest = 1 - sum((share - u) ** 2 for share in g) / sum(share**2 for share in g)
    return rest ** (-0.5 if root else -1)


def drawn_slowly(g: list[float], point: float) -> int:
    """Lay the shares end to end and see on whom the point falls."""
    end = 0.0
    for i, share in enumerate(g):
        end += share
        if point < end:
            return i
    return max(i for i, share in enumerate(g) if share > 0)


def measured_of(error_norms: list[float]) -> Measured:
    """Losses of which ScriptedProbe makes about these error_norms, with what it makes of them."""
    loss = -torch.log1p(-torch.tensor(error_norms, dtype=torch.float32))
    return Measured(loss, loss < 1, torch.exp(-loss), 1 - torch.exp(-loss))


def random_error_norms(rng: np.random.Generator, n: int) -> list[float]:
    """Between even and very uneven; sometimes with zeros, sometimes nothing but zeros."""
    drawn = rng.random(n) ** rng.choice([0.1, 1, 8, 30]) * 0.9
    drawn[rng.random(n) < rng.choice([0.0, 0.0, 0.5, 1.0], p=[0.4, 0.3, 0.2, 0.1])] = 0
    return measured_of(drawn.tolist()).error_norm.tolist()


class Algorithm1:
    """The paper's loop for one device, candidates of one draw at a time."""

    def __init__(self, b: int, threshold: float, momentum: float, root: bool) -> None:
        self.b, self.threshold, self.momentum, self.root = b, threshold, momentum, root
        self.tau = 0.0

    def follow(self, error_norms: list[float]) -> list[float]:
        g = shares_slowly(error_norms)
        self.tau = self.momentum * self.tau + (1 - self.momentum) * gain_slowly(g, root=self.root)
        return g

    def draw(self, error_norms: list[float], points: list[float]) -> tuple[list[int], list[float]]:
        g = self.follow(error_norms)
        rows = [drawn_slowly(g, point) for point in points]
        return rows, [1 / (len(g) * g[row]) for row in rows]


def answer_and_train(strategy: Any, candidates: list[float], b: int, batch_of: BatchOf, probe: Any) -> Any:
    """What select answers, and what the loop then does: train, batch by batch."""
    probe.losses = [measured_of(candidates).loss]
    probe.asked = 0
    answer = strategy.select(batch_of(len(candidates)), probe)
    error_norms = [candidates[i : i + b] for i in range(0, len(candidates), b)]
    if answer is not None:
        error_norms = [[candidates[row] for row in answer.rows.tolist()]]
    for part in error_norms:
        strategy.observe(batch_of(b), measured_of(part))
    return answer


def test_follows_algorithm_1(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    drawn = uniform = 0
    for k in range(120):
        rng = np.random.default_rng(k)
        presample, b = int(rng.integers(2, 6)), int(rng.integers(1, 9))
        momentum, root, threshold = (
            float(rng.choice([0.0, 0.5, 0.9])),
            bool(k % 2),
            float(rng.choice([0.0, 1.0, 1.2, 1.6])),
        )
        params = {"presample": presample, "threshold": threshold, "momentum": momentum, "root": root}
        strategy: Any = load("kf18", params)
        paper = Algorithm1(b, threshold, momentum, root)
        probe = probe_of(epoch_at(1000), [])
        for _ in range(25):
            candidates = random_error_norms(rng, b * int(rng.choice([presample, presample, 2])))
            if abs(paper.tau - threshold) < 1e-6 and paper.tau:
                break  # which side it falls on is a matter of rounding
            expected = paper.tau > threshold
            got = answer_and_train(strategy, candidates, b, batch_of, probe)
            assert (got is not None) == expected, k
            if got is None:
                uniform += 1
                for start in range(0, len(candidates), b):
                    paper.follow(candidates[start : start + b])
                continue
            drawn += 1
            rows, weights = paper.draw(candidates, probe.drawn[-1].tolist())
            assert got.rows.tolist() == rows and got.weight.tolist() == pytest.approx(weights, rel=1e-4), k
            assert float(strategy.tau) == pytest.approx(paper.tau, rel=1e-5), k
    assert drawn > 500 and uniform > 500


def test_the_papers_formula_is_n_times_the_sum_of_squares() -> None:
    for k in range(200):
        g = shares_slowly(random_error_norms(np.random.default_rng(k), 12))
        assert gain_slowly(g, root=False) == pytest.approx(12 * sum(share**2 for share in g))


def test_begins_uniform_and_draws_when_tau_has_risen(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    strategy, probe = load("kf18", {"threshold": 1.5, "momentum": 0.9}), probe_of(epoch_at(100), [])
    uneven = [0.9, 0.0, 0.0, 0.0] * 3  # x = 2 in every batch of 4
    answers = [answer_and_train(strategy, uneven, 4, batch_of, probe) is not None for _ in range(8)]
    first = next(k for k in range(1, 100) if 2 * (1 - 0.9**k) > 1.5)
    assert answers == [3 * draws >= first for draws in range(8)] and any(answers)


@pytest.mark.parametrize(("presample", "threshold"), [(2, 5 / 3), (3, 2.0), (5, 8 / 3)])
def test_the_default_threshold_is_where_a_draw_pays_off(
    presample: int, threshold: float, epoch_at: At, probe_of: Any, batch_of: BatchOf
) -> None:
    for tau, draws in ((threshold - 0.001, False), (threshold + 0.001, True)):
        strategy: Any = load("kf18", {"presample": presample})
        answer_and_train(strategy, [0.5] * 4 * presample, 4, batch_of, probe_of(epoch_at(100), []))
        strategy.tau = torch.tensor(tau, dtype=torch.float64)
        answer = answer_and_train(strategy, [0.5] * 4 * presample, 4, batch_of, probe_of(epoch_at(100), []))
        assert (answer is not None) == draws


def ready(b: int, batch_of: BatchOf, **params: Any) -> Any:
    """A strategy that has trained one uniform batch and draws from the next candidates."""
    strategy = load("kf18", {"threshold": 0.0, **params})
    strategy.observe(batch_of(b), measured_of([0.5] * b))
    return strategy


@pytest.mark.parametrize("n_batches", [2, 3, 7, 40])
def test_any_pool_gives_one_full_batch(n_batches: int, epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    strategy, candidates = ready(4, batch_of, presample=40), random_error_norms(np.random.default_rng(1), 4 * n_batches)
    answer = answer_and_train(strategy, candidates, 4, batch_of, probe_of(epoch_at(1000), []))
    assert answer is not None and len(answer.rows) == len(answer.weight) == 4


def test_a_pool_of_one_batch_is_trained_as_it_is_and_not_looked_at(
    epoch_at: At, probe_of: Any, batch_of: BatchOf
) -> None:
    strategy, probe = ready(4, batch_of), probe_of(epoch_at(1000), [])
    assert answer_and_train(strategy, [0.1, 0.9, 0.1, 0.1], 4, batch_of, probe) is None and probe.asked == 0
    expected = 0.9 * 0.1 + 0.1 * gain_slowly(shares_slowly([0.1, 0.9, 0.1, 0.1]), root=True)
    assert float(strategy.tau) == pytest.approx(expected)


def test_uniform_pools_are_not_looked_at(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    strategy, probe = load("kf18", {"threshold": 1e9}), probe_of(epoch_at(1000), [])
    for _ in range(20):
        assert answer_and_train(strategy, [0.9] + [0.0] * 11, 4, batch_of, probe) is None and probe.asked == 0


def test_error_norms_of_nothing_but_zero_are_drawn_from_evenly(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    strategy, probe, counts = ready(4, batch_of), probe_of(epoch_at(1000), []), np.zeros(12)
    for _ in range(400):
        answer = answer_and_train(strategy, [0.0] * 12, 4, batch_of, probe)
        assert answer is not None and answer.weight.tolist() == pytest.approx([1.0] * 4)
        counts += np.bincount(answer.rows.tolist(), minlength=12)
    assert chisquare(counts).pvalue > 1e-3 and float(strategy.tau) == pytest.approx(1.0)


def test_draws_follow_the_error_norms(epoch_at: At, probe_of: Any, batch_of: BatchOf) -> None:
    candidates, probe = random_error_norms(np.random.default_rng(8), 30), probe_of(epoch_at(1000), [])
    strategy, counts = ready(10, batch_of), np.zeros(30)
    for _ in range(600):
        counts += np.bincount(answer_and_train(strategy, candidates, 10, batch_of, probe).rows, minlength=30)
    expected = np.array(shares_slowly(candidates)) * counts.sum()
    some = expected > 0
    assert not counts[~some].any() and chisquare(counts[some], expected[some], sum_check=False).pvalue > 1e-3


@pytest.mark.parametrize("ranks", range(1, 9))
def test_the_weighted_mean_of_draws_is_the_mean_of_the_pool_whatever_the_number_of_ranks(
    ranks: int, epoch_at: At, probe_of: Any, batch_of: BatchOf
) -> None:
    rng, b = np.random.default_rng(ranks), 840 // 3 // ranks  # of a global batch of 280 (or a little less)
    candidates, values = rng.random(3 * b * ranks) * 0.8 + 0.05, rng.normal(size=3 * b * ranks)
    strategies = [ready(b, batch_of) for _ in range(ranks)]
    probes = [
        probe_of(epoch_at(1000), [], rng=torch.Generator().manual_seed(100 * ranks + rank)) for rank in range(ranks)
    ]
    means = []
    for _ in range(80):
        parts = []
        for rank, (strategy, probe) in enumerate(zip(strategies, probes, strict=True)):
            mine = slice(rank * 3 * b, (rank + 1) * 3 * b)
            answer = answer_and_train(strategy, candidates[mine].tolist(), b, batch_of, probe)
            parts.append(float((answer.weight * torch.tensor(values[mine])[answer.rows]).mean()))
        means.append(np.mean(parts))
    assert abs(np.mean(means) - values.mean()) < 4.5 * np.std(means) / len(means) ** 0.5


def test_shares_are_those_of_a_slow_division() -> None:
    for k in range(1000):
        error_norms = random_error_norms(np.random.default_rng(k), 1 + k % 40)
        assert shares(torch.tensor(error_norms)).tolist() == pytest.approx(shares_slowly(error_norms), rel=1e-9), k


def test_plans_everything_in_pools_at_the_scheduled_learning_rate(
    epoch_at: At, unmeasured: Callable[[int], Any]
) -> None:
    plan = load("kf18", {"presample": 5}).plan(epoch_at(9), unmeasured(9))
    assert plan.indices.tolist() == list(range(9)) and plan.candidate_batches == 5
    assert plan.weights is None and plan.lr_scale == 1.0 and plan.refresh is None
