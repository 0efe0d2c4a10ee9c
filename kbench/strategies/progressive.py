"""Progressive resizing: train on small images first, and on larger ones as the training goes on."""

from collections.abc import Iterator
from dataclasses import dataclass

from kbench.config.value_types import Count, Probability, Share
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup


@dataclass
class Progressive(Strategy):
    """Trains on images of ``initial_scale`` of the recipe's side, which grow to all of it; every sample in each epoch.

    It selects nothing: it competes for the same time as the methods that do.
    Source: the library Composer (``ProgressiveResizing``, after fastai's), whose defaults these are.  For the share
    ``delay`` of the epochs the scale stays; then it grows linearly until the share ``finetune`` is left, which trains
    on whole images.  Sides are rounded to multiples of ``increment`` [pixel].  Evaluation always sees whole images.
    Departures: the scale changes from epoch to epoch, where theirs changes from step to step; images are resized as
    the recipe resizes them (bilinear), where theirs takes the nearest pixel; there is no cropping.
    """

    baseline_params = {"initial_scale": 1.0}
    takes_mixed = True

    initial_scale: Share = 0.5
    delay: Probability = 0.5
    finetune: Probability = 0.2
    increment: Count = 4

    def __post_init__(self) -> None:
        if self.delay + self.finetune > 1:
            raise ValueError(f"delay {self.delay:g} and finetune {self.finetune:g} are more than the whole training")

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if self.initial_scale == 1:
            return
        if setup.task != "classification":
            yield "", f"resizes images and no labels, and those of a {setup.task} task have the images' size"
        elif setup.image_size is not None and self._side(setup.image_size, 0.0) is None:
            text = f"{self.initial_scale:g} of {setup.image_size} pixels is a whole image again"
            yield "initial_scale", f"{text}, in steps of {self.increment}"

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids, image_size=self._side(epoch.image_size, epoch.index / epoch.epochs))

    def _side(self, whole: int, passed: float) -> int | None:
        """The side [pixel] when a share ``passed`` of the epochs is over; None where it is the whole image's."""
        growing = 1 - self.delay - self.finetune
        grown = 0.0 if passed < self.delay else min(1.0, (passed - self.delay) / growing) if growing > 0 else 1.0
        scale = self.initial_scale + (1 - self.initial_scale) * grown
        side = max(self.increment, round(whole * scale / self.increment) * self.increment)
        return side if side < whole else None
