"""EL2N pruning: leave out for good the samples of the lowest error norm after a short training, and start again."""

from dataclasses import dataclass

from kbench.strategies.api import Epoch, EpochPlan, SampleStats, share_of
from kbench.strategies.pruning import PrunesForGood
from kbench.strategies.ranking import lowest


@dataclass
class PruneEL2N(PrunesForGood):
    """Prunes the ``int(fraction * n)`` samples of the lowest error norm for good, then trains afresh.

    Source: Paul, Ganguli and Dziugaite 2021 (arXiv:2107.07075), of which we have the abstract, and
    their code.  The score, EL2N, is the Euclidean norm of softmax minus one-hot; it is taken of
    all samples in one pass after ``score_epochs`` epochs on everything, which follow the beginning of
    the full schedule and whose time counts.  The highest scores are kept.
    Departures: one training gives the scores, where the paper averages several initialisations
    (their README recommends at least ten); samples are scored in their epoch's augmented view, where
    the code scores them plain; equal scores are pruned by the lower sample id, where theirs follow
    the sort; ``length: epochs`` (default) trains the subset for the epochs of the recipe, which saves time,
    where theirs trains it for as many steps as everything would take: ``length: steps``, which saves none.
    Both other defaults are ours: their code leaves the moment of scoring and the size of the
    subset to the caller, and the abstract speaks of a few epochs and of half of CIFAR-10.
    """

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if epoch.phase == "score":
            return EpochPlan(epoch.all_ids, refresh=epoch.all_ids if epoch.last else None)
        if self.pruned is None:
            self.pruned = lowest(stats.error_norm, share_of(epoch.n_samples, self.fraction)) & stats.known
        return EpochPlan((~self.pruned).nonzero().squeeze(1))
