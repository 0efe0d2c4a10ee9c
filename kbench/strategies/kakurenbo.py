"""KAKURENBO: hide the easiest samples that the model is right and sure about."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kbench.config.value_types import Count, Fraction, Probability
from kbench.strategies.api import AsCoded, Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup, share_of
from kbench.strategies.ranking import lowest


@dataclass
class Kakurenbo(Strategy):
    """Hides, among the ``int(F_e * n)`` lowest losses, those predicted right with confidence >= tau.

    Source: Thao Nguyen et al. 2023 (arXiv:2310.10102) and its code (``hs_lag_v3.1``).  The
    ceiling F_e is ``fraction`` times the share that ``milestones`` [epoch] have reached; what is
    moved back is not replaced, so fewer may be hidden.  Losses lag: they come from the last
    epoch's training pass, and hidden samples get a forward pass at its end.  After the warm-up
    the learning rate is scaled by 1 / (1 - share): of the ceiling in every published script
    (default), or of what is really hidden (``lr_from: hidden``).
    Departures from the code, each with its option: confidence is a softmax over classes
    (``confidence_over: batch`` is theirs, over the samples of a batch); the refresh runs in
    evaluation mode (``refresh_in: train``); the learning rate follows the epochs, while the DeiT
    scripts count real updates against full epochs and never finish the schedule (``lr_clock:
    updates``).  Without an option: a sample seen by two ranks counts once; ties go to the lower
    sample id; losses are plain cross-entropy, where the DeiT scripts rank by label-smoothed ones.
    """

    baseline_params = {"fraction": 0.0}

    fraction: Fraction = 0.3
    confidence: Probability = 0.7
    milestones: tuple[Count, ...] = (30, 60, 80)
    shares: tuple[Probability, ...] = (1.0, 0.8, 0.6, 0.4)
    lr_from: Literal["ceiling", "hidden"] = "ceiling"
    confidence_over: Literal["classes", "batch"] = "classes"
    refresh_in: Literal["eval", "train"] = "eval"
    lr_clock: Literal["epochs", "updates"] = "epochs"

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.milestones) + 1:
            raise ValueError(
                f"shares must be one more than milestones ({len(self.milestones)} + 1), got {len(self.shares)}"
            )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, got {list(self.milestones)}")

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if text := setup.too_few_left(self.fraction * max(self.shares)):
            yield "fraction", text
        late = [milestone for milestone in self.milestones if milestone >= setup.epochs]
        if late:
            text = f"{late[0]} is never reached in {setup.epochs} epochs, take it out, and the share that begins there"
            yield "milestones", text
        if self.confidence_over == "batch" and setup.task == "segmentation":
            yield "confidence_over", "a softmax over the batch is not defined for the pixels of a segmentation"

    def ceiling(self, epoch: int) -> float:
        """F_e: the largest share that epoch ``epoch`` may hide."""
        return self.fraction * self.shares[bisect_right(self.milestones, epoch)]

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        ceiling = self.ceiling(epoch.index)
        easy = lowest(stats.loss, share_of(epoch.n_samples, ceiling))
        hidden = easy & stats.correct & (stats.confidence >= self.confidence)
        share = float(hidden.float().mean()) if self.lr_from == "hidden" else ceiling
        lr_scale = 1.0 if epoch.warmup else 1 / (1 - share)
        as_coded = AsCoded(confidence_over=self.confidence_over, refresh_in=self.refresh_in, lr_clock=self.lr_clock)
        return EpochPlan.hide(hidden, lr_scale=lr_scale, ceiling=ceiling, as_coded=as_coded)
