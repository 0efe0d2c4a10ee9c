"""Instance-dependent early stopping: no longer train on a sample whose loss has stopped bending."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Count, Fraction, NonNegative
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup, share_of, state
from kbench.strategies.ranking import lowest


@dataclass
class IES(Strategy):
    """Hides each sample whose loss has a second difference below ``threshold``, averaged over ``window`` epochs.

    Source: Yuan et al., ICLR 2025 (Instance-dependent Early Stopping), from their code (``cifar_main.py``).  With the
    losses l of a sample, one an epoch, the mean of abs(l[t] - 2 l[t-1] + l[t-2]) over the last ``window`` epochs
    decides; a sample needs ``window`` + 3 losses before it can be hidden.  Hidden samples are measured again without
    training after every epoch, and come back when their loss bends.  ``threshold`` [nat] is 1e-3 there, twice that
    on CIFAR-100; ``window`` is 3, and one such mean decides (their ``k`` of 1).
    Departures: hidden samples are measured in evaluation mode in the augmented view of their epoch, as there; a sample
    that an epoch left over from its last batch gets no loss in that epoch, where theirs trains a short batch; at most
    ``ceiling`` of the samples is hidden, those of the lowest mean, where theirs has no limit and ends with no batch.
    """

    baseline_params = {"threshold": 0.0}
    takes_mixed = True

    n_bytes_per_sample = 21  # two losses, three differences, a count: more with a longer window

    threshold: NonNegative = 1e-3
    window: Count = 3
    ceiling: Fraction = 0.9

    losses: Tensor | None = state()  # (2, n) float32 [nat]: the last one and the one before it
    bends: Tensor | None = state()  # (window, n) float32 [nat]: absolute second differences, the latest first
    n_losses: Tensor | None = state()  # (n,) uint8, counted up to 255

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if text := setup.too_few_left(self.ceiling):
            yield "ceiling", text

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self._follow(stats)
        return EpochPlan.hide(self._still(epoch.n_samples), ceiling=self.ceiling)

    def _follow(self, stats: SampleStats) -> None:
        """Take in the losses of the last epoch."""
        n, device = len(stats.loss), stats.loss.device
        if self.losses is None or self.bends is None or self.n_losses is None:
            self.losses = torch.zeros(2, n, device=device)
            self.bends = torch.zeros(self.window, n, device=device)
            self.n_losses = torch.zeros(n, dtype=torch.uint8, device=device)
        fresh = stats.age == 0
        bend = (stats.loss - 2 * self.losses[0] + self.losses[1]).abs()
        self.bends = torch.where(fresh, torch.cat([bend[None], self.bends[:-1]]), self.bends)
        self.losses = torch.where(fresh, torch.stack([stats.loss, self.losses[0]]), self.losses)
        self.n_losses += (fresh & (self.n_losses < 255)).to(torch.uint8)

    def _still(self, n: int) -> Tensor:
        """(n,) bool: what to hide."""
        assert self.bends is not None and self.n_losses is not None
        mean = self.bends.mean(0)
        ready = self.n_losses >= min(self.window + 3, 255)
        still = ready & (mean < self.threshold)
        limit = share_of(n, self.ceiling)
        if int(still.sum()) <= limit:
            return still
        return lowest(torch.where(still, mean, torch.inf), limit)
