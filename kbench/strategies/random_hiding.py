"""Hide a random share in each epoch: the control that a selective method must beat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kbench.config.value_types import Fraction, Name
from kbench.strategies.api import (
    Epoch,
    EpochCost,
    EpochPlan,
    Phase,
    SampleStats,
    Strategy,
    TrainingSetup,
    share_of,
    state,
)
from kbench.strategies.ranking import shuffled


@dataclass
class RandomHiding(Strategy):
    """Hides exactly ``int(fraction * n)`` samples, drawn anew in each epoch without replacement.

    ``like`` names another strategy of the experiment: then each epoch leaves out as many samples as
    that one's finished run of the same seed did (hidden, or not chosen from their batches), and
    ``fraction`` says nothing.  Its run's last phase is what is copied, with its number of epochs; the
    extra phases are not.  As many are trained on as there, whatever that one dropped on the way.
    So is its scaling of the learning rate, epoch by epoch, or a win of the other might be the learning rate's;
    ``lr: plain`` leaves the recipe's.  No refresh: nothing is known of the samples and nothing is claimed.
    Dynamic random pruning as in Raju et al. 2021 (arXiv:2111.12621).
    """

    role = "control"
    baseline_params = {"fraction": 0.0}
    takes_mixed = True

    fraction: Fraction = 0.3
    like: Name | None = None
    lr: Literal["like", "plain"] = "like"

    counts: list[int] | None = state()  # samples to leave out, by epoch
    scales: list[float] | None = state()  # of the learning rate, by epoch

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        text = setup.too_few_left(self.fraction) if self.like is None else ""
        if text:
            yield "fraction", text

    def follow(self, past: Sequence[EpochCost]) -> None:
        last = [spent for spent in past if spent.phase == past[-1].phase]
        self.counts = [spent.n_left_out for spent in last]
        self.scales = [spent.lr_scale for spent in last] if self.lr == "like" else None

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return (Phase.train(epochs if self.counts is None else len(self.counts)),)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        count = share_of(epoch.n_samples, self.fraction)
        if self.counts is not None:
            count = self.counts[epoch.index]
        order = shuffled(epoch)
        lr_scale = 1.0 if self.scales is None else self.scales[epoch.index]
        return EpochPlan(order[count:].sort().values, lr_scale=lr_scale)
