"""OrderDP: of a random part of the samples, train each epoch on those of the highest loss."""

from collections.abc import Iterator
from dataclasses import dataclass

from kbench.config.value_types import Share
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup, share_of
from kbench.strategies.ranking import lowest, shuffled


@dataclass
class OrderDP(Strategy):
    """Draws ``int(pool * n)`` samples anew in each epoch, and trains on the ``int(top * drawn)`` of the highest loss.

    Source: Jin et al., ICLR 2026 (OrderDP), of which we have the abstract, and their code.  ``pool`` and ``top`` are
    0.75 and 0.85 there (``orderDP.py``); their scripts take 0.5 and 0.5 on CIFAR-100, 0.8 and 0.9 for ResNet-18 on
    ImageNet.  A sample keeps its last loss while it is left out; none is measured again, and no loss is weighed: the
    objective that this is unbiased for is not the mean over the samples, but their surrogate of it.
    No epoch trains on everything: their sampler has a ``delta``, but prunes after it as well.
    Departures: a sample never measured counts as a uniform guess, ln C, where theirs starts at 3 nat (1 on ImageNet);
    ties go to the lower sample id; losses are plain cross-entropy, where their CIFAR example ranks by label-smoothed
    ones; the global random streams are left alone, where theirs seeds numpy's anew in every epoch.
    """

    baseline_params = {"pool": 1.0, "top": 1.0}
    takes_mixed = True

    pool: Share = 0.75
    top: Share = 0.85

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if setup.n_train is None:
            return
        n_kept = share_of(share_of(setup.n_train, self.pool), self.top)
        if n_kept < setup.global_batch:
            yield (
                "top",
                f"of pool {self.pool:g} leaves {n_kept} of {setup.n_train} samples, "
                f"fewer than one global batch of {setup.global_batch}",
            )

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        n_drawn = share_of(epoch.n_samples, self.pool)
        drawn = shuffled(epoch)[:n_drawn].sort().values
        chosen = drawn[lowest(-stats.loss[drawn], share_of(n_drawn, self.top))]
        return EpochPlan(chosen)
