"""KAKURENBO: hide the easiest samples that the model is right and sure about."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

import torch

from kbench.spec.ranges import Count, Fraction, Probability
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, share_of


@dataclass
class Kakurenbo(Strategy):
    """Hides, among the ``int(F_e * n)`` lowest losses, those predicted right with confidence >= tau.

    Source: Thao Nguyen et al. 2023 (arXiv:2310.10102) and its code (``hs_lag_v3.1``).  The
    ceiling F_e is ``fraction`` times the share that ``milestones`` [epoch] have reached; who is
    moved back is not replaced, so fewer may be hidden.  Losses lag: they come from the last
    epoch's training pass, and hidden samples get a forward pass at its end.  After the warm-up
    the learning rate is scaled by 1 / (1 - share): of the ceiling in every published script
    (default), or of what is really hidden (``lr_from: hidden``).
    Departures from the code: confidence is a softmax over classes, not over the batch; the
    refresh runs in evaluation mode; a sample seen by two ranks counts once; ties go to the lower
    sample id.
    """

    fraction: Fraction = 0.3
    confidence: Probability = 0.7
    milestones: tuple[Count, ...] = (30, 60, 80)
    shares: tuple[Probability, ...] = (1.0, 0.8, 0.6, 0.4)
    lr_from: Literal["ceiling", "hidden"] = "ceiling"

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.milestones) + 1:
            raise ValueError(
                f"shares must be one more than milestones ({len(self.milestones)} + 1), got {len(self.shares)}"
            )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, got {list(self.milestones)}")

    def ceiling(self, epoch: int) -> float:
        """F_e: the largest share that epoch ``epoch`` may hide."""
        return self.fraction * self.shares[bisect_right(self.milestones, epoch)]

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        ceiling = self.ceiling(epoch.index)
        easy = torch.argsort(stats.loss, stable=True)[: share_of(epoch.n_samples, ceiling)]
        hidden = torch.zeros_like(stats.correct)
        hidden[easy] = stats.correct[easy] & (stats.confidence[easy] >= self.confidence)
        share = float(hidden.float().mean()) if self.lr_from == "hidden" else ceiling
        return EpochPlan.hide(hidden, lr_scale=1.0 if epoch.warmup else 1 / (1 - share))
