"""InfoBatch: drop some of the samples below the mean loss at random, and count the rest of them for more."""

from dataclasses import dataclass

import torch

from kbench.config.value_types import Fraction, Probability
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, share_of
from kbench.strategies.ranking import lowest


@dataclass
class InfoBatch(Strategy):
    """Keeps a random ``1 - ratio`` of the samples whose last loss is below the mean, weighed by 1 / (1 - ratio).

    Source: InfoBatch (arXiv:2303.04947), of which we have the abstract, and its authors' code.  Of
    the k samples below the mean, exactly ``int((1 - ratio) * k)`` are drawn anew in each epoch,
    without replacement, as in the code.  A step's loss is the mean over its batch of weight * loss,
    as there: the batch's length divides, not the sum of the weights.  After ``int(delta * epochs)``
    epochs all train on everything, unweighted.  A sample that was dropped keeps its last loss; none is
    measured again.
    Departures from the code: a sample never measured is kept and has no part in the mean, where
    theirs starts at 3 nat and counts; the mean is taken in float64, so that equal losses are never
    below it; ``ratio`` may be above 0.9, where theirs is cut off; losses are plain cross-entropy,
    where their CIFAR example ranks by label-smoothed ones; weights never outlive the pruning, where
    theirs do if ``delta * epochs`` is no whole number; the global random streams are left alone,
    where theirs seeds numpy's anew in every epoch.
    """

    baseline_params = {"ratio": 0.0}
    takes_mixed = True

    ratio: Fraction = 0.5
    delta: Probability = 0.875

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if epoch.index >= share_of(epoch.epochs, self.delta):
            return EpochPlan(epoch.all_ids)
        exact = stats.loss.double().cpu()  # a GPU adds up in no fixed order, and all ranks must choose alike
        known = stats.known.cpu()
        low = (known & (exact < exact[known].mean())).nonzero().squeeze(1).to(epoch.device)
        count = share_of(len(low), 1 - self.ratio)
        if count == len(low):
            return EpochPlan(epoch.all_ids)
        planned = torch.ones(epoch.n_samples, dtype=torch.bool, device=epoch.device)
        planned[low] = lowest(epoch.uniform(len(low)), count)
        weights = torch.ones(epoch.n_samples, device=epoch.device)
        weights[low] = 1 / (1 - self.ratio)
        return EpochPlan(planned.nonzero().squeeze(1), weights=weights)
