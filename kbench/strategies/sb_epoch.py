"""SB by epochs: one draw per epoch on the losses of the last, as the KAKURENBO comparison ran it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kbench.config.value_types import NonNegative
from kbench.strategies.api import AsCoded, Epoch, EpochPlan, SampleStats, Strategy

N_BINS = 1000


@dataclass
class EpochSB(Strategy):
    """Keeps a sample for an epoch with probability (share of all losses not above its own) ^ ``beta``.

    Source: the code of the KAKURENBO comparison (arXiv:2310.10102, ``..._sb.py`` and
    ``pretrain_sb.py``), which calls it SB; Jiang et al.'s method (arXiv:1910.00762) is ``sb``.
    Losses come from the last epoch's training pass; what was not kept gets a forward pass at its
    end.  Losses are not weighted and the learning rate is not scaled.  If losses are exchangeable,
    about 1 / (beta + 1) of the samples are kept: 0.43 keeps 70 % (their CIFAR-100 runs), 1 a half
    (their Fractal-3K runs and their default).  ``percentile: rank`` (default) counts losses; ties
    share the highest rank.  ``histogram`` is theirs: losses between the least and the greatest fall
    into 1000 bins of equal width, and a sample has the share of its own bin and all below, so that
    one great loss packs the rest into few bins and more are kept.
    Departures, each with its option: the refresh runs in evaluation mode (``refresh_in: train``);
    the learning rate follows the epochs, while the DeiT script counts real updates against full
    epochs and never finishes the schedule (``lr_clock: updates``).  Without an option: a sample
    seen by two ranks counts once; one never seen is kept; losses are plain cross-entropy, where the
    DeiT script ranks by label-smoothed ones.
    """

    baseline_params = {"beta": 0.0}
    takes_mixed = True

    beta: NonNegative = 1.0
    percentile: Literal["rank", "histogram"] = "rank"
    refresh_in: Literal["eval", "train"] = "eval"
    lr_clock: Literal["epochs", "updates"] = "epochs"

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        share = {"rank": by_rank, "histogram": by_histogram}[self.percentile](stats.loss)
        trained = (epoch.uniform(epoch.n_samples) < share**self.beta) | ~stats.known
        return EpochPlan.hide(~trained, as_coded=AsCoded(refresh_in=self.refresh_in, lr_clock=self.lr_clock))


def by_rank(loss: Tensor) -> Tensor:
    """(n,) float64 in (0, 1]: the share of ``loss`` ((n,) float32) not above each."""
    climbing, order = loss.sort()
    not_above = torch.empty_like(order)
    not_above[order] = torch.searchsorted(climbing, climbing, right=True)  # looked up in order: kinder to the cache
    return not_above.double() / len(loss)


def by_histogram(loss: Tensor) -> Tensor:
    """(n,) float64 in (0, 1]: the share of ``loss`` ((n,) float32) in each one's bin or a lower one.

    As coded, down to the rounding: counting compares with the edges of the bins, looking up
    multiplies by their number, and the two may disagree by a bin at an edge.  On the CPU, as torch
    has no histogram elsewhere.
    """
    exact = loss.double().cpu()
    least, greatest = exact.min(), exact.max()
    place = (exact - least) / (greatest - least) if least < greatest else torch.ones_like(exact)
    counts = torch.histogram(place, bins=N_BINS, range=(0.0, 1.0)).hist
    bins = (place * N_BINS).int().clamp_max(N_BINS - 1)
    return (counts.cumsum(0) / len(exact))[bins].to(loss.device)
