"""FORGET: count forgetting events in a first training, prune the least forgotten samples, start again."""

from dataclasses import dataclass

from torch import Tensor

from kbench.config.value_types import Count
from kbench.strategies.api import Epoch, EpochPlan, Phase, SampleStats, state
from kbench.strategies.forgetting import CountsForgetting


@dataclass
class Forget(CountsForgetting):
    """Prunes the ``int(fraction * n)`` least forgotten samples for good, then trains afresh.

    Source: Toneva et al. 2018 (arXiv:1812.05159); scoring on ``score_epochs`` epochs of one seed
    instead of 200 epochs of five is the KAKURENBO comparison's variant (``..._forget_original``).
    An event is: right at one presentation, wrong at the next.  A sample never learnt counts as
    most forgettable and is kept, as in the paper; ``keep_unlearnt: false`` counts it as never
    forgotten and prunes it first, as that code does.  The scoring epochs follow the beginning of
    the full schedule, and their time counts.  Departure from that code: the order of the samples
    is drawn anew in each scoring epoch (theirs repeats the first, for want of ``set_epoch``).
    """

    baseline_params = {"fraction": 0.0}  # the scoring phase remains; what follows is the baseline's training

    score_epochs: Count = 20

    pruned: Tensor | None = state()  # (n,) bool, once decided

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        horizon = max(epochs, self.score_epochs)
        return Phase(name="score", epochs=self.score_epochs, horizon=horizon), Phase.train(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if self.pruned is None:
            self.count(stats.correct)
            if epoch.phase == "train":
                self.pruned = self.least_forgotten(stats)
        if self.pruned is None:
            return EpochPlan(epoch.all_ids)
        return EpochPlan((~self.pruned).nonzero().squeeze(1))
