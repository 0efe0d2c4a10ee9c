"""RHO-LOSS: of many candidates, train on those with the most loss that a model of other data did not have."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Count, Fraction, Share
from kbench.strategies.api import (
    Batch,
    Epoch,
    EpochPlan,
    Measured,
    Phase,
    Probe,
    SampleStats,
    Strategy,
    TrainingSetup,
    share_of,
    state,
)
from kbench.strategies.ranking import lowest


@dataclass
class RhoLoss(Strategy):
    """Trains on the batch out of ``1 / keep`` whose samples have the greatest loss minus irreducible loss.

    Source: RHO-LOSS (arXiv:2206.07137) and its authors' code; ``keep`` 0.1 is their n_b / n_B
    (32 / 320) and ``holdout`` 0.5 their CIFAR setting.  A first phase trains on ``int(holdout * n)``
    samples, drawn once, for ``holdout_epochs`` (None: as many as the recipe has) with the whole
    schedule; its last epoch then measures all others, and that is their irreducible loss.  The second
    trains on these others only: the held-out samples are lost to it, which its accuracy pays for.
    Both phases' time counts.  ``holdout`` 0 has no first phase and no irreducible loss: the highest
    losses are taken.  ``1 / keep`` is rounded to whole batches; 1 takes all and measures nothing.
    Departures: the holdout model has the architecture of the run, where theirs may be smaller, and
    is used as it ends, where their code takes the epoch with the lowest loss on the test set of a longer
    training (``holdout_epochs``); held-out
    samples are drawn at random, where their CIFAR code holds out every second; candidates are measured
    in evaluation mode, where their code's default is training mode; irreducible losses are of the
    epoch's view, augmented if the recipe does so; each rank chooses from its own part; ties go to the
    earlier place; the last candidates of an epoch may be fewer and still give one batch, unmeasured if that
    is all of them.
    """

    baseline_params = {"keep": 1.0, "holdout": 0.0}

    keep: Share = 0.1
    holdout: Fraction = 0.5
    holdout_epochs: Count | None = None

    held: Tensor | None = state()  # (n,) bool: seen by the holdout model only
    floor: Tensor | None = state()  # (n,) float32 irreducible loss [nat]; None: zero
    size: int = state(0)  # [sample] of this rank's batches; 0: not known yet

    @property
    def candidate_batches(self) -> int:
        """[batch] to choose one from."""
        return round(1 / self.keep)

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if text := setup.too_few_left(self.holdout):
            yield "holdout", text
        n_held = share_of(setup.n_train or 0, self.holdout)
        if self.holdout and setup.n_train and n_held < setup.global_batch:
            text = f"holds out {n_held} of {setup.n_train} samples, fewer than one global batch of {setup.global_batch}"
            yield "holdout", text

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        n_first = self.holdout_epochs or epochs
        first = (Phase(name="holdout", epochs=n_first, horizon=n_first),) if self.holdout else ()
        return *first, Phase.train(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if self.held is None:
            self.held = lowest(epoch.uniform(epoch.n_samples), share_of(epoch.n_samples, self.holdout))
        others = (~self.held).nonzero().squeeze(1)
        if epoch.phase == "holdout":
            return EpochPlan(self.held.nonzero().squeeze(1), refresh=others if epoch.last else None)
        if self.holdout and epoch.index == 0:
            self.floor = stats.loss
        return EpochPlan(others, candidate_batches=self.candidate_batches)

    def select(self, batch: Batch, probe: Probe) -> Tensor | None:
        if probe.epoch.phase == "holdout" or self.candidate_batches == 1:
            return None
        self.size = self.size or len(batch) // self.candidate_batches  # there was no holdout phase to observe
        if len(batch) == self.size:
            return None
        loss = probe.measure(batch).loss
        gain = loss if self.floor is None else loss - self.floor[batch.index]
        best = gain.argsort(descending=True, stable=True)[: self.size]  # NaN comes first and is not passed over
        return torch.zeros_like(gain).index_fill_(0, best, 1.0)

    def observe(self, batch: Batch, measured: Measured) -> None:
        self.size = len(batch)  # always full
