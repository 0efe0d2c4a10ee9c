"""Forgetting events: samples that were right in one forward pass and wrong in the next."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Flag, Fraction
from kbench.strategies.api import SampleStats, Strategy, TrainingSetup, share_of, state
from kbench.strategies.ranking import lowest


@dataclass
class CountsForgetting(Strategy):
    """Counts each sample's forgetting events, one forward pass an epoch; subclasses decide what is left out."""

    fraction: Fraction = 0.3
    keep_unlearnt: Flag = True

    events: Tensor | None = state()  # (n,) int16: times forgotten
    right: Tensor | None = state()  # (n,) bool: right when last seen
    learnt: Tensor | None = state()  # (n,) bool: right at least once

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if text := setup.too_few_left(self.fraction):
            yield "fraction", text

    def count(self, correct: Tensor) -> None:
        """Count the events of the latest forward pass: ``correct`` is (n,) bool."""
        if self.events is None or self.right is None or self.learnt is None:
            self.events = torch.zeros_like(correct, dtype=torch.int16)
            self.right = self.learnt = torch.zeros_like(correct)
        self.events = self.events + (self.right & ~correct)
        self.right, self.learnt = correct, self.learnt | correct

    def least_forgotten(self, stats: SampleStats) -> Tensor:
        """(n,) bool: the ``int(fraction * n)`` samples with the fewest events, none that was never measured."""
        assert self.events is not None and self.learnt is not None
        score = self.events.clone()
        score[~(self.learnt if self.keep_unlearnt else stats.known)] = torch.iinfo(score.dtype).max
        return lowest(score, share_of(len(score), self.fraction)) & stats.known
