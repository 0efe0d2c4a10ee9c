"""DivBS: of each large batch, train on the part whose last-layer gradients span the most of the whole batch's."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Count, Share
from kbench.strategies.api import Batch, Epoch, EpochPlan, Outputs, Probe, SampleStats, Strategy, share_of
from kbench.strategies.ranking import draw

NOTHING_LEFT = 1e-10  # of the squared length of a gradient, or of the mean gradient, outside of what is spanned


@dataclass
class DivBS(Strategy):
    """Trains on ``int(keep * b)`` of b candidates, drawn one by one for what they add to those drawn before.

    Source: Hong et al., ICML 2024 (DivBS, arXiv:2406.04872), of which we have the abstract, and their code
    (``methods/DivBS.py``).  A sample's gradient is that of its loss at the last linear layer's weights, error times
    features, from a forward pass in evaluation mode.  The residual begins as the mean gradient of the candidates; each
    step draws a sample with probability proportional to abs(gradient * residual), and takes out of the residual
    the direction that its gradient adds to the span of those drawn so far.  10 % of 320 are kept there: ``keep`` 0.1
    of ``candidates`` 10 global batches of 32.  Nothing is weighed.
    Departures: the products of gradients are those of errors times those of features, the same numbers without the
    gradients themselves; where no residual is left, the rest is drawn at random, and no sample is drawn twice, where
    theirs may draw one again by rounding; each rank draws from its own candidates; ``reduce_dim`` is left out.
    """

    baseline_params = {"keep": 1.0}

    keep: Share = 0.1
    candidates: Count = 10

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if self.keep == 1:
            return EpochPlan(epoch.all_ids)
        return EpochPlan(epoch.all_ids, candidate_batches=self.candidates)

    def select(self, batch: Batch, probe: Probe) -> Tensor | None:
        if self.keep == 1:
            return None
        n_kept = max(1, share_of(len(batch), self.keep))
        products = gradient_products(probe.outputs(batch), batch.y)
        weight = torch.zeros(len(batch), device=batch.x.device)
        weight[spanning(products, probe.uniform(n_kept), probe.uniform(len(batch)))] = 1.0
        return weight


def gradient_products(outputs: Outputs, y: Tensor) -> Tensor:
    """(b, b) float64: the inner products of the samples' gradients at the last layer's weights."""
    error, features = outputs.error(y).double(), outputs.features.double()
    return (error @ error.T) * (features @ features.T)


def spanning(products: Tensor, at: Tensor, spare: Tensor) -> Tensor:
    """Draw samples whose gradients span the mean gradient, as many as ``at`` is long.

    Args:
        products: (b, b) float64 inner products of the gradients.
        at: (k,) in [0, 1): where in the distribution each is drawn.
        spare: (b,) in [0, 1): who has the lowest comes first where nothing is left to be spanned.

    Returns:
        (k,) int64 places, none twice.
    """
    b = len(products)
    spanned = torch.zeros(b, 0, dtype=products.dtype, device=products.device)  # gradients along the directions
    pull = products.mean(1)  # of each gradient with the residual
    enough = NOTHING_LEFT * products.mean().clamp_min(1e-300)
    left = products.mean()  # the residual's squared length
    free = torch.ones(b, dtype=torch.bool, device=products.device)
    for point in at.double():
        beyond = products.diagonal() - spanned.square().sum(1)
        able = free & (beyond > NOTHING_LEFT * products.diagonal())
        p = torch.where(able, pull.abs(), 0.0)
        if left <= enough or not bool((p > 0).any()):
            break
        row = draw(p, point[None])
        direction = (products[:, row] - spanned @ spanned[row].T) / beyond[row].sqrt()
        share = direction.mean()  # of the residual, along the new direction
        pull, left = pull - direction[:, 0] * share, left - share.square()
        spanned = torch.cat([spanned, direction], dim=1)
        free[row] = False
    drawn = (~free).nonzero().squeeze(1)
    order = torch.argsort(torch.where(free, spare, torch.inf), stable=True)
    return torch.cat([drawn, order[: len(at) - len(drawn)]])
