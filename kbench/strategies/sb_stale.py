"""Stale-SB: Selective-Backprop that measures only every few epochs and ranks by the last known losses in between."""

from dataclasses import dataclass

from torch import Tensor

from kbench.config.value_types import Count
from kbench.strategies.api import Batch, Epoch, EpochPlan, Probe, SampleStats, state
from kbench.strategies.sb import SelectiveBackprop


@dataclass
class StaleSB(SelectiveBackprop):
    """Selective-Backprop whose selection forward pass is taken in epochs 0, ``every``, 2 ``every``... only.

    Source: Jiang et al. 2019 (arXiv:1910.00762), which tries 2 and 3, and their code (default 3).
    ``beta``, ``window`` and ``prime_epochs`` are those of ``sb``.  Between the passes the last known
    loss of a sample stands in for a fresh one: it is pushed into the window and ranked as if it
    were.  The last known loss is that of the latest forward pass, of training as well as of selection, as it
    stood when the epoch began.  ``prime_epochs: 1`` trains epoch 0 in full, so that its losses come
    from training, and no selection pass is taken there.  Departures: the paper speaks of the last
    known probabilities, its code keeps losses, as is done here; the code forwards the whole batch
    all the same when one of its samples is due, and hands the losses of others to the due ones, ours
    saves the pass; a sample never seen is forwarded there, here it counts as a uniform guess, ln C;
    and those of ``sb``.
    """

    every: Count = 3

    cached: Tensor | None = state()  # (n,) float32 losses before this epoch; None: measure

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self.cached = None if epoch.index % self.every == 0 else stats.loss
        return super().plan(epoch, stats)

    def loss_of(self, batch: Batch, probe: Probe) -> Tensor:
        return super().loss_of(batch, probe) if self.cached is None else self.cached[batch.index]
