"""Ranking and drawing samples: the arithmetic that several strategies share."""

import torch
from torch import Tensor

from kbench.strategies.api import Epoch


def lowest(values: Tensor, count: int) -> Tensor:
    """Mark the ``count`` lowest of ``values`` ((n,), finite); ties go to the lower sample id.

    Selects without sorting, in O(n).  Returns (n,) bool.
    """
    count = min(count, len(values))
    if count <= 0:
        return torch.zeros(len(values), dtype=torch.bool, device=values.device)
    limit = torch.kthvalue(values, count).values
    below, tied = values < limit, values == limit
    room = count - below.sum()
    return below | (tied & (tied.cumsum(0) <= room))


def shuffled(epoch: Epoch) -> Tensor:
    """(n_samples,) int64: all ids in an order of the epoch's random numbers."""
    return torch.argsort(epoch.uniform(epoch.n_samples), stable=True)


def draw(p: Tensor, at: Tensor) -> Tensor:
    """Draw ids with probability ``p`` ((n,) float64, any sum) at ``at`` ((k,) in [0, 1)); works at any n.

    torch.multinomial ends at 2^24 categories; this is the inverse of the cumulative sum.
    """
    cumulative = p.cumsum(0)
    drawn = torch.searchsorted(cumulative, at * cumulative[-1], right=True)
    last = (p > 0).nonzero()[-1]  # rounding may lead past it, and what has probability 0 is never drawn
    return drawn.clamp_max(last)


def drawn_distinct(p: Tensor, at: Tensor, count: int) -> Tensor:
    """Mark ``count`` drawn one after another without replacement, with probability ``p`` among those left; (n,) bool.

    The lowest of exponential waiting times, each of rate p; what has no probability comes last.

    Args:
        p: (n,) float64, at least 0, of any sum.
        at: (n,) float64 in [0, 1).
    """
    waits = -torch.log1p(-at.double()) / p.double().clamp_min(1e-300)
    return lowest(waits.clamp_max(torch.finfo(torch.float64).max), count)


def percentile(loss: Tensor, among: Tensor) -> Tensor:
    """The share of ``among`` ((m,) float) strictly below each of ``loss`` ((b,) float)."""
    return torch.searchsorted(among.sort().values, loss).float() / len(among)


def by_class(labels: Tensor) -> list[Tensor]:
    """The places of the samples of each class that occurs, in the order of the classes; each (k,) int64, ascending.

    Args:
        labels: (n,) int64.
    """
    order = torch.argsort(labels, stable=True)
    return list(torch.split(order, torch.unique(labels, return_counts=True)[1].tolist()))
