"""Pruning for good after a first training that scores the samples: what EL2N pruning and DUAL share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from kbench.config.value_types import Count, Fraction
from kbench.strategies.api import Phase, Strategy, TrainingSetup, state


@dataclass
class PrunesForGood(Strategy):
    """Scores in ``score_epochs`` epochs on everything, prunes ``int(fraction * n)`` samples, and trains afresh.

    The scoring epochs follow the beginning of the full schedule.  ``length: epochs`` trains the subset for the epochs
    of the recipe, ``length: steps`` for as many steps as everything would take.
    """

    baseline_params = {"fraction": 0.0}  # the scoring phase remains; what follows is the baseline's training

    fraction: Fraction = 0.3
    score_epochs: Count = 20
    length: Literal["epochs", "steps"] = "epochs"

    pruned: Tensor | None = state()  # (n,) bool, once decided

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if text := setup.too_few_left(self.fraction):
            yield "fraction", text

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        horizon = max(epochs, self.score_epochs)
        longer = 1 if self.length == "epochs" else 1 / (1 - self.fraction)
        return Phase(name="score", epochs=self.score_epochs, horizon=horizon), Phase.train(round(longer * epochs))
