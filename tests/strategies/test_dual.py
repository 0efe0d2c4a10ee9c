"""DUAL against a slow restatement of its score, and its draws against the distribution that they come from."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import beta

from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, Strategy

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


def score_slowly(p: list[float], window: int) -> float:
    """The mean over windows of spread times difficulty; the spread as of a sample."""
    windows = [p[i : i + window] for i in range(len(p) - window + 1)]
    return sum(statistics.stdev(each) * (1 - statistics.fmean(each)) for each in windows) / len(windows)


def scored(
    strategy: Strategy, p: torch.Tensor, epoch_at: At, unmeasured: Unmeasured, seed: int = 0
) -> tuple[list[int], int]:
    """Go through the phases with probabilities p ((epochs, n)); what the training keeps, and the scoring epochs."""
    n_epochs, n = p.shape
    stats = unmeasured(n)
    phase = strategy.phases(40)[0]
    assert phase.epochs == n_epochs
    for index in range(n_epochs):
        plan = strategy.plan(epoch_at(n, index, epochs=n_epochs, phase="score", seed=seed), stats)
        assert len(plan.indices) == n
        stats = replace(stats, confidence=p[index], age=torch.zeros(n, dtype=torch.int16))
    plans = [strategy.plan(epoch_at(n, index, epochs=40, seed=seed), stats).indices.tolist() for index in range(3)]
    assert plans[0] == plans[1] == plans[2]  # for good
    return plans[0], n_epochs


@pytest.mark.parametrize(("n_epochs", "window"), [(12, 5), (10, 10), (7, 2)])
def test_top_keeps_the_highest_scores(n_epochs: int, window: int, epoch_at: At, unmeasured: Unmeasured) -> None:
    for k in range(30):
        p = torch.tensor(np.random.default_rng(k).random((n_epochs, 50)), dtype=torch.float32)
        params = {"score_epochs": n_epochs, "window": window, "sampling": "top", "fraction": 0.4}
        kept, _ = scored(load("dual", params), p, epoch_at, unmeasured)
        scores = [score_slowly(p[:, i].tolist(), window) for i in range(50)]
        assert kept == sorted(sorted(range(50), key=lambda i: -scores[i])[:30]), k


def test_beta_draws_as_often_as_score_times_density_says(epoch_at: At, unmeasured: Unmeasured) -> None:
    n_epochs, n, fraction, n_runs = 4, 8, 0.875, 600
    p = torch.tensor(np.random.default_rng(1).random((n_epochs, n)) * 0.8 + 0.1, dtype=torch.float32)
    params = {"score_epochs": n_epochs, "window": 3, "fraction": fraction}
    counts = np.zeros(n)
    for seed in range(n_runs):  # one of eight is kept, so that its distribution is that of a single draw
        kept, _ = scored(load("dual", params), p, epoch_at, unmeasured, seed=seed)
        assert len(kept) == n - int(fraction * n)
        counts[kept] += 1
    scores = np.array([score_slowly(p[:, i].tolist(), 3) for i in range(n)])
    mean = p.double().mean(0).numpy()
    hardest = mean.mean()  # of the ten highest scores, which are all
    b = 15 * (1 - hardest) * (1 - fraction**4)
    weight = beta.pdf(mean, 16 - b, b) * scores
    expected = weight / weight.sum() * counts.sum()
    large = expected > 5
    excess = ((counts - expected)[large] ** 2 / expected[large]).sum()
    assert excess < large.sum() + 5 * math.sqrt(2 * large.sum())


def test_the_scoring_epochs_come_first_and_their_number_is_free() -> None:
    phases = load("dual").phases(200)
    assert [(phase.name, phase.epochs, phase.horizon) for phase in phases] == [("score", 30, 200), ("train", 200, 200)]
    longer = load("dual", {"length": "steps", "fraction": 0.5}).phases(200)
    assert longer[1].epochs == 400


@pytest.mark.parametrize("params", [{"window": 1}, {"score_epochs": 5}])
def test_a_window_that_does_not_fit_is_refused(params: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="window"):
        load("dual", params)


def test_pruning_nothing_keeps_everything(epoch_at: At, unmeasured: Unmeasured) -> None:
    p = torch.rand(10, 30, generator=torch.Generator().manual_seed(1))
    kept, _ = scored(load("dual", {"fraction": 0.0, "score_epochs": 10}), p, epoch_at, unmeasured)
    assert kept == list(range(30))
