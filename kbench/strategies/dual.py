"""DUAL: keep samples that are hard and uncertain early in a training, fewer of the hardest the more is pruned."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Beta

from kbench.config.value_types import Count, Positive
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, share_of, state
from kbench.strategies.pruning import PrunesForGood
from kbench.strategies.ranking import drawn_distinct, lowest

BETA_SUM, BETA_SPREAD, N_ANCHORS = 16, 15, 10  # as in the authors' beta_sampling


@dataclass
class Dual(PrunesForGood):
    """Prunes ``int(fraction * n)`` samples for good by difficulty times uncertainty, then trains afresh.

    Source: Cho et al., ICML 2025 (arXiv:2502.06905), of which we have the abstract, and their code (``exp_cifar``).
    ``score_epochs`` epochs on everything follow the beginning of the full schedule, and their time counts.  With p
    the probability of the true class, one of each epoch, the score is the mean over all windows of ``window`` epochs
    of std(p) * (1 - mean(p)).  ``sampling: beta`` draws the kept samples without replacement, with probability
    proportional to the score times the density at the sample's mean p of a beta distribution whose parameters are
    a = 16 - b and b = 15 (1 - m) (1 - fraction^``c``), m the mean p of the ten highest scores: the more is pruned,
    the easier the samples.  ``sampling: top`` keeps the highest scores.
    30 epochs and windows of 10 are theirs; ``c`` 4 is their README's for CIFAR-100.  ``length: epochs`` (default)
    trains the subset for the epochs of the recipe; ``length: steps`` for as many steps as everything would take.
    Departures: p is taken as it is trained, in the augmented view; its mean is over the scoring epochs, where their
    README takes it from all 200 epochs of the training that gives the scores; a sample that an epoch left over keeps
    its last p; their command line hands the order of the scores over as the score, which we take for a slip.
    """

    n_bytes_per_sample = 52  # while it scores, ten probabilities and three sums; afterwards 1

    score_epochs: Count = 30
    window: Count = 10
    c: Positive = 4.0
    sampling: Literal["beta", "top"] = "beta"

    past: Tensor | None = state()  # (window, n) float32: the last probabilities, the place of the oldest next
    total: Tensor | None = state()  # (2, n) float32: the sum over windows of the score, over epochs of p
    n_seen: int = state(0)  # [epoch] measured

    def __post_init__(self) -> None:
        if self.window < 2:
            raise ValueError("window must be at least 2 epochs, or there is no spread")
        if self.score_epochs < self.window:
            raise ValueError(f"score_epochs ({self.score_epochs}) must be at least window ({self.window})")

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if self.pruned is None and (epoch.phase == "train" or epoch.index):
            self._follow(stats.confidence)
        if epoch.phase == "score":
            return EpochPlan(epoch.all_ids)
        if self.pruned is None:
            self.pruned = self._choose(epoch)
            self.past = self.total = None
        return EpochPlan((~self.pruned).nonzero().squeeze(1))

    def _follow(self, p: Tensor) -> None:
        """Take in the probabilities of the last epoch, (n,) float32."""
        if self.past is None or self.total is None:
            self.past = torch.zeros(self.window, len(p), device=p.device)
            self.total = torch.zeros(2, len(p), device=p.device)
        self.past[self.n_seen % self.window] = p
        self.n_seen += 1
        self.total[1] += p
        if self.n_seen >= self.window:
            self.total[0] += self.past.std(0) * (1 - self.past.mean(0))

    def _choose(self, epoch: Epoch) -> Tensor:
        """(n,) bool: what to prune."""
        assert self.total is not None
        score, mean = self.total[0].double().cpu(), self.total[1].double().cpu() / self.n_seen
        n_pruned = share_of(epoch.n_samples, self.fraction)
        if self.sampling == "top":
            return lowest(score, n_pruned).to(epoch.device)
        hardest = mean[lowest(-score, N_ANCHORS)].mean()
        b = (BETA_SPREAD * (1 - hardest) * (1 - self.fraction**self.c)).clamp_min(1e-6)
        density = Beta(BETA_SUM - b, b)
        weight: Tensor = density.log_prob(mean.clamp(1e-9, 1 - 1e-9)).exp() * score  # type: ignore[no-untyped-call]
        at = epoch.uniform(epoch.n_samples).cpu()
        return ~drawn_distinct(weight, at, epoch.n_samples - n_pruned).to(epoch.device)
