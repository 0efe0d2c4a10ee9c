"""The baseline in less time: fewer epochs, the schedule rescaled, the learning rate fully decayed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kbench.config.value_types import Name, Share
from kbench.strategies.api import EpochCost, Phase, Strategy, state

FORWARD_SHARE = 1 / 3  # of a training step, if a backward pass costs two forward passes


@dataclass
class Budget(Strategy):
    """Trains ``round(share * epochs)`` epochs, at least one, on everything.

    ``like`` names another strategy of the experiment: then it trains as many epochs as pay for what
    that one's finished run of the same seed computed in all its phases (to the nearest epoch, and
    ``share`` says nothing).  A sample trained counts as one; scored or refreshed, as a forward
    pass: a third of a training step, or ``forward: measured``, the share that the forward pass of
    training had of that run's own steps.
    The control that Kaddour et al. 2023 (arXiv:2307.06440) ask for: whoever claims to save time
    must beat a baseline that simply stops earlier and decays its learning rate in time.
    """

    role = "control"
    baseline_params = {"share": 1.0}
    takes_mixed = True

    share: Share = 0.75
    like: Name | None = None
    forward: Literal["third", "measured"] = "third"

    epochs: int | None = state()  # that were paid for

    def follow(self, past: Sequence[EpochCost]) -> None:
        price = FORWARD_SHARE
        if self.forward == "measured":
            price = sum(spent.forward_s for spent in past) / sum(spent.step_s for spent in past)
        paid = sum(spent.n_trained + price * (spent.n_scored + spent.n_refreshed) for spent in past)
        self.epochs = max(1, round(paid / past[-1].n_full))

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return (Phase.train(self.epochs or max(1, round(self.share * epochs))),)
