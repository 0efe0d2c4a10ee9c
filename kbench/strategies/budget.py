"""The baseline in less time: fewer epochs, the schedule rescaled, the learning rate fully decayed."""

from dataclasses import dataclass

from kbench.spec.ranges import Share
from kbench.strategies.api import Phase, Strategy


@dataclass
class Budget(Strategy):
    """Trains ``round(share * epochs)`` epochs, at least one, on everything.

    The control that Kaddour et al. 2023 (arXiv:2307.06440) ask for: whoever claims to save time
    must beat a baseline that simply stops earlier and decays its learning rate in time.
    """

    share: Share = 0.75

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return (Phase.train(max(1, round(self.share * epochs))),)
