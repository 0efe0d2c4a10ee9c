"""Hide a random share in each epoch: the control that a selective method must beat."""

from dataclasses import dataclass

import torch

from kbench.spec.ranges import Fraction
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, share_of


@dataclass
class RandomHiding(Strategy):
    """Hides exactly ``int(fraction * n)`` samples, drawn anew in each epoch without replacement.

    No refresh, no learning-rate scaling: nothing is known of the samples and nothing is claimed.
    Dynamic random pruning as in Raju et al. 2021 (arXiv:2111.12621).
    """

    fraction: Fraction = 0.3

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        order = torch.argsort(epoch.uniform(epoch.n_samples), stable=True)
        return EpochPlan(order[share_of(epoch.n_samples, self.fraction) :].sort().values)
