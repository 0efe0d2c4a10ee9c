"""FORGET: count what is forgotten in a first training, prune what never is, start again."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.spec.ranges import Count, Flag, Fraction
from kbench.strategies.api import Epoch, EpochPlan, Phase, SampleStats, Strategy, memory, share_of
from kbench.strategies.rank import lowest


@dataclass
class Forget(Strategy):
    """Prunes the ``int(fraction * n)`` least forgotten samples for good, then trains afresh.

    Source: Toneva et al. 2018 (arXiv:1812.05159); scoring on ``score_epochs`` epochs of one seed
    instead of 200 epochs of five is the KAKURENBO comparison's variant (``..._forget_original``).
    An event is: right at one presentation, wrong at the next.  A sample never learnt counts as
    most forgettable and is kept, as in the paper; ``keep_unlearnt: false`` counts it as never
    forgotten and prunes it first, as that code does.  The scoring epochs follow the beginning of
    the full schedule, and their time counts.  Departure from that code: the order of the samples
    is drawn anew in each scoring epoch (theirs repeats the first, for want of ``set_epoch``).
    """

    inert = {"fraction": 0.0}  # the scoring phase remains; what follows is the baseline's training

    fraction: Fraction = 0.3
    score_epochs: Count = 20
    keep_unlearnt: Flag = True

    events: Tensor | None = memory()  # (n,) int16: times forgotten
    right: Tensor | None = memory()  # (n,) bool: right when last seen
    learnt: Tensor | None = memory()  # (n,) bool: right at least once
    pruned: Tensor | None = memory()  # (n,) bool, once decided

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        horizon = max(epochs, self.score_epochs)
        return Phase(name="score", epochs=self.score_epochs, horizon=horizon), Phase.train(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if self.pruned is None:
            self._count(stats.correct)
            if epoch.phase == "train":
                self.pruned = self._least_forgotten(share_of(epoch.n_samples, self.fraction))
        if self.pruned is None:
            return EpochPlan(epoch.everyone)
        return EpochPlan((~self.pruned).nonzero().squeeze(1))

    def _count(self, correct: Tensor) -> None:
        if self.events is None or self.right is None or self.learnt is None:
            self.events = torch.zeros_like(correct, dtype=torch.int16)
            self.right = self.learnt = torch.zeros_like(correct)
        self.events = self.events + (self.right & ~correct)
        self.right, self.learnt = correct, self.learnt | correct

    def _least_forgotten(self, count: int) -> Tensor:
        assert self.events is not None and self.learnt is not None
        score = self.events.clone()
        if self.keep_unlearnt:
            score[~self.learnt] = torch.iinfo(score.dtype).max
        return lowest(score, count)
