"""Selective-Backprop: measure every batch, train on a sample with probability CDF(loss)^beta."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Count, Natural, NonNegative
from kbench.strategies.api import Batch, Probe, Strategy, state
from kbench.strategies.ranking import percentile


@dataclass
class SelectiveBackprop(Strategy):
    """Keeps a sample with probability (share of recent losses strictly below its own) ^ beta.

    Source: Jiang et al. 2019 (arXiv:1910.00762, section 3) and their code: a window of 1024
    losses with the batch's own included first, a first epoch on everything, selection forward in
    evaluation mode.  If losses are exchangeable, 1 / (beta + 1) of the samples are kept: beta 1
    keeps a half (CIFAR-100 in the paper), 2 a third (CIFAR-10), 3 a quarter (SVHN; the code's
    default), 0 all.  Departures: each rank keeps a window of its own losses, as the paper has one
    device; kept samples that fill no batch are dropped at the end of an epoch, where the code
    carries them over; the primed epochs leave the window empty, as in the code, and the learning
    rate follows the epochs, as in the paper (the code never steps its scheduler).
    """

    baseline_params = {"beta": 0.0}
    takes_mixed = True

    beta: NonNegative = 1.0
    window: Count = 1024
    prime_epochs: Natural = 1

    recent: Tensor | None = state()  # (<= window,) float32 losses, this rank's own

    def select(self, batch: Batch, probe: Probe) -> Tensor | None:
        if probe.epoch.index < self.prime_epochs:
            return None
        loss = self.loss_of(batch, probe)
        past = loss if self.recent is None else torch.cat([self.recent, loss])
        self.recent = past[-self.window :]
        chance = percentile(loss, self.recent) ** self.beta
        return (probe.uniform(len(batch)) < chance).float()

    def loss_of(self, batch: Batch, probe: Probe) -> Tensor:
        """(b,) float32 [nat]: the losses that a batch is ranked by; here of the model as it stands."""
        return probe.measure(batch).loss
