"""SeTa: of a random part of the samples, train on a window of groups of like loss that slides from easy to hard."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Count, Fraction, Probability, Share
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup, share_of, state
from kbench.strategies.ranking import shuffled

MAX_ROUNDS = 300  # of k-means, as in scikit-learn


@dataclass
class SeTa(Strategy):
    """Drops ``ratio`` of the samples at random, groups the rest by loss, and trains on some of the groups.

    Source: Zhou et al., CVPR 2025 (SeTa, arXiv:2503.13385), from their code (``seta.py``).  In each epoch
    ``int((1 - ratio) * n)`` samples are drawn; k-means puts their last losses into ``groups`` groups, in order of
    their centres; ``round(window * groups)`` neighbouring groups are trained on.  The window begins at the easiest
    and moves one group towards the hard with each epoch, and begins again behind the hardest.  The first epoch trains
    on all that was drawn.  After ``int(delta * epochs)`` epochs all that was drawn is trained on (partial annealing).
    ``ratio`` 0.1, ``groups`` 5 and ``window`` 0.9 are their script's for CIFAR ("lossless"); 0.875 is their ``delta``.
    Nothing is weighed and no rate is scaled.
    Departures: k-means starts from equal shares of the sorted losses and is exact in one dimension, where theirs
    starts at random (scikit-learn, ``random_state=0``); equal losses stay in one group, where theirs are cut into
    equal parts if all are equal; a sample never measured counts as a uniform guess, ln C, where theirs starts at
    3 nat; ``ratio`` may be above 0.9, where theirs is cut off; ``round`` goes to the even number, as there (4 of 4.5).
    """

    baseline_params = {"ratio": 0.0, "window": 1.0}
    takes_mixed = True

    ratio: Fraction = 0.1
    groups: Count = 5
    window: Share = 0.9
    delta: Probability = 0.875

    n_slides: int = state(0)  # how often the window was laid

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if round(self.window * self.groups) < 1:
            yield "window", f"{self.window:g} of {self.groups} groups rounds to none"
        if text := setup.too_few_left(self.ratio):
            yield "ratio", text

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        n_kept = epoch.n_samples - share_of(epoch.n_samples, self.ratio)
        drawn = epoch.all_ids if n_kept == epoch.n_samples else shuffled(epoch)[:n_kept].sort().values
        if epoch.index >= share_of(epoch.epochs, self.delta):
            return EpochPlan(drawn)
        n_window = max(1, round(self.window * self.groups))
        first = self.n_slides % (self.groups - n_window + 1)
        self.n_slides += 1
        if self.n_slides == 1 or n_window == self.groups:
            return EpochPlan(drawn)
        group = grouped(stats.loss[drawn], self.groups)
        within = (group >= first) & (group < first + n_window)
        return EpochPlan(drawn[within] if bool(within.any()) else drawn)


def grouped(values: Tensor, n_groups: int) -> Tensor:
    """The group of each of ``values`` ((k,) finite): (k,) int64 from 0, the lowest, to ``n_groups`` - 1.

    K-means in one dimension (Lloyd's rounds on the sorted values, until nothing changes), the same on every rank.
    """
    exact = values.double().cpu()  # a GPU adds up in no fixed order
    ordered = exact.sort().values
    total = torch.cat([torch.zeros(1, dtype=torch.float64), ordered.cumsum(0)])
    ends = torch.arange(1, n_groups) * len(ordered) // n_groups  # where a group ends, among the sorted values
    for _ in range(MAX_ROUNDS):
        bounds = torch.cat([torch.zeros(1, dtype=torch.int64), ends, torch.tensor([len(ordered)])])
        sizes = bounds.diff()
        filled = sizes > 0
        centres = (total[bounds[1:]] - total[bounds[:-1]])[filled] / sizes[filled]
        between = torch.full((n_groups - 1,), torch.inf, dtype=torch.float64)
        between[: len(centres) - 1] = (centres[:-1] + centres[1:]) / 2
        moved = torch.searchsorted(ordered, between)
        if bool((moved == ends).all()):
            break
        ends = moved
    return torch.searchsorted(between, exact, right=True).to(values.device)
