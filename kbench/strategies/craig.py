"""CRAIG per batch: train on groups of samples that stand for all others, with the weight of those they stand for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.strategies.batch_gradients import ChoosesGroups

TIE = 1e-9  # two groups that are one another's nearest gain equally much: rounding must not choose


@dataclass
class Craig(ChoosesGroups):
    """Chooses groups greedily, so that every group has one of near gradient among them, and weighs them by how many.

    Source: Mirzasoleiman, Bilmes and Leskovec 2020 (CRAIG, arXiv:1906.01827), of which we have the abstract, and the
    library CORDS (``CRAIGStrategy``, "PerBatch").  A group's likeness to another is the largest distance between any
    two mean gradients less their own; the next group is the one that adds most to the sum over all groups of the
    likeness to the nearest chosen one (facility location).  A chosen group weighs as much as there are groups that
    it is the nearest to.  Of equal gains the first group's is taken.
    Departures: those of ``gradmatch``, which it shares its gradients and epochs with.
    """

    def choose(self, gradients: Tensor, n_chosen: int) -> Tensor:
        products = gradients @ gradients.T
        lengths = products.diagonal()
        distance = (lengths[:, None] + lengths - 2 * products).clamp_min(0).sqrt()
        likeness = distance.max() - distance
        nearest = torch.zeros(len(likeness), dtype=likeness.dtype)  # likeness of each group to the nearest chosen
        chosen: list[int] = []
        for _ in range(min(n_chosen, len(likeness))):
            gain = (likeness - nearest).clamp_min(0).sum(1)
            gain[chosen] = -1.0
            best = int((gain >= gain.max() * (1 - TIE)).int().argmax())
            chosen.append(best)
            nearest = torch.maximum(nearest, likeness[best])
        stands_for = likeness[chosen].argmax(0)  # the first of equals
        weights = torch.zeros(len(likeness), dtype=torch.float64)
        weights[chosen] = torch.bincount(stands_for, minlength=len(chosen)).double()
        return weights
