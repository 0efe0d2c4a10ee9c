"""IES against a slow restatement of its authors' bookkeeping: a list of losses and one of differences per sample."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from kbench.strategies import load
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


class Bookkeeping:
    """One sample: its losses, the differences of which ``window`` + 1 are kept, and whether it is mastered."""

    def __init__(self, window: int, threshold: float) -> None:
        self.window, self.threshold = window, threshold
        self.losses: list[float] = []
        self.bends: list[float] = []

    def see(self, loss: float) -> None:
        self.losses.append(loss)
        if len(self.losses) >= 3:
            self.bends.append(abs(self.losses[-1] - 2 * self.losses[-2] + self.losses[-3]))
            self.bends = self.bends[-(self.window + 1) :]

    @property
    def mean(self) -> float:
        return sum(self.bends[-self.window :]) / self.window

    @property
    def mastered(self) -> bool:
        return len(self.bends) >= self.window + 1 and self.mean < self.threshold


def losses_of(rng: np.random.Generator, n: int, epoch: int) -> torch.Tensor:
    """Losses that fall and settle, each at its own pace: whole multiples of 2^-12, exact in float32."""
    pace = rng.random(n) * 2
    return torch.tensor(np.round(np.exp(-pace * epoch) * 4096 + rng.integers(0, 6, n)) / 4096, dtype=torch.float32)


@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("unmeasured_share", [0.0, 0.2])
def test_hides_what_the_bookkeeping_says(
    window: int, unmeasured_share: float, epoch_at: At, unmeasured: Unmeasured
) -> None:
    n, threshold = 60, 1e-3
    strategy = load("ies", {"window": window, "threshold": threshold, "ceiling": 0.99})
    books, rng = [Bookkeeping(window, threshold) for _ in range(n)], np.random.default_rng(window)
    stats, n_hidden = unmeasured(n), 0
    for index in range(25):
        plan = strategy.plan(epoch_at(n, index, epochs=25), stats)
        mastered = [i for i, book in enumerate(books) if book.mastered]
        if len(mastered) <= int(0.99 * n):
            assert plan.refresh is not None and plan.refresh.tolist() == mastered, index
        assert sorted(plan.indices.tolist() + plan.refresh.tolist()) == list(range(n))
        n_hidden += len(mastered)
        seen = torch.tensor(rng.random(n) >= unmeasured_share)
        loss = torch.where(seen, losses_of(rng, n, index), stats.loss)
        older = torch.where(stats.age < 0, -1, stats.age + 1).to(torch.int16)
        stats = replace(stats, loss=loss, age=torch.where(seen, 0, older).to(torch.int16))
        for i in seen.nonzero().squeeze(1).tolist():
            books[i].see(float(loss[i]))
    assert n_hidden > 0  # or nothing was tried


def settled(strategy: Strategy, n_epochs: int, epoch_at: At, unmeasured: Unmeasured) -> EpochPlan:
    """The plan of ten samples after so many epochs in which no loss changed."""
    stats = replace(unmeasured(10), loss=torch.zeros(10), age=torch.zeros(10, dtype=torch.int16))
    plan = strategy.plan(epoch_at(10, 0), unmeasured(10))
    for index in range(1, n_epochs + 1):
        plan = strategy.plan(epoch_at(10, index), stats)
    return plan


def hidden(plan: EpochPlan) -> list[int]:
    assert plan.refresh is not None
    return plan.refresh.tolist()


def test_the_first_that_can_be_hidden_has_six_losses(epoch_at: At, unmeasured: Unmeasured) -> None:
    five, six = (settled(load("ies"), n_epochs, epoch_at, unmeasured) for n_epochs in (5, 6))
    assert (len(hidden(five)), len(hidden(six))) == (0, 9)  # of ten, nine: the ceiling


def test_beyond_the_ceiling_those_that_bend_least_are_hidden(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy, n = load("ies", {"ceiling": 0.5, "threshold": 1.0}), 8
    stats = unmeasured(n)
    for index in range(8):
        plan = strategy.plan(epoch_at(n, index), stats)
        bent = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]) * (index % 2)
        stats = replace(stats, loss=bent / 4, age=torch.zeros(n, dtype=torch.int16))
    assert hidden(plan) == [0, 1, 2, 3]


def test_without_a_threshold_nothing_is_hidden(epoch_at: At, unmeasured: Unmeasured) -> None:
    plan = settled(load("ies", {"threshold": 0.0}), 9, epoch_at, unmeasured)
    assert plan.indices.tolist() == list(range(10))


def test_a_ceiling_that_leaves_no_batch_is_refused_before_the_start() -> None:
    setup = TrainingSetup(n_train=100, n_classes=10, task="classification", epochs=20, global_batch=20)
    assert [parameter for parameter, _ in load("ies").problems(setup)] == ["ceiling"]
    assert not list(load("ies", {"ceiling": 0.5}).problems(setup))
