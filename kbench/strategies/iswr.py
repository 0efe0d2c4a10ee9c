"""ISWR: draw the epoch with replacement, each sample in proportion to its loss."""

from dataclasses import dataclass
from typing import Literal

import torch

from kbench.config.value_types import Flag
from kbench.strategies.api import AsCoded, Epoch, EpochPlan, SampleStats, Strategy
from kbench.strategies.ranking import draw


@dataclass
class ISWR(Strategy):
    """Importance sampling with replacement as the KAKURENBO comparison ran it.

    Source: arXiv:2310.10102 and its code (``..._is_wR.py``); the idea is Katharopoulos and
    Fleuret's (arXiv:1803.00942), their gradient bound and presample are not.  After every epoch
    one forward pass over the whole set renews all losses; n samples are drawn for the next.
    ``unbiased`` weighs each draw by 1 / (n p); the authors' code does not, so False is the default.
    Departures: the renewal runs in evaluation mode without a graph (theirs builds one, and moves
    BatchNorm, as ``refresh_in: train`` does) at the end of an epoch rather than at the beginning of
    the next, and not after the last, where nothing reads it; epoch 0 draws uniformly, as theirs,
    because an unmeasured loss is a uniform guess.
    """

    takes_mixed = True

    unbiased: Flag = False
    refresh_in: Literal["eval", "train"] = "eval"

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        n = epoch.n_samples
        loss = stats.loss.double().cpu()  # a GPU adds up in no fixed order, and all ranks must draw alike
        p = loss / loss.sum() if loss.sum() > 0 else torch.full_like(loss, 1 / n)
        drawn = draw(p, epoch.uniform(n).cpu().sort().values).to(epoch.device)
        weights = (1 / (n * p.clamp_min(1e-12))).float().to(epoch.device) if self.unbiased else None
        as_coded = AsCoded(refresh_in=self.refresh_in)
        return EpochPlan(drawn, weights=weights, refresh=epoch.all_ids, as_coded=as_coded)
