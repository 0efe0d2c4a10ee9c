"""RCAP: give each class its share of an epoch by its losses, and draw its samples by theirs."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

from kbench.config.value_types import Fraction, Positive
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup, share_of, state
from kbench.strategies.ranking import by_class, drawn_distinct


@dataclass
class RCAP(Strategy):
    """Trains each epoch on a share of every class, drawn without replacement by a softmax of its samples' losses.

    Source: Hassan, Khare and Paik 2026 (RCAP), of which we have the abstract, and their library datacull 1.0.2.
    Losses are cut off at ln C (``clip`` [nat] where given), and a softmax over loss / ``beta`` within each class says
    how important its samples are.  A class's mass is the importance of those of its samples that the epoch before
    trained on; its part of the kept ``n - int(fraction * n)`` goes with the root of mass times class share.  A class
    whose part is more than all of it gives all, and the others share what is left.  Parts are rounded up, so that an
    epoch may train on up to C samples more.  A sample that is left out keeps its last loss; nothing is weighed.
    ``beta`` is to be tuned (they name 1/3 to 3); 1 is our default.
    Departures: what full classes leave is shared by the others, as their comment says, where their code forgets to
    subtract it; a class without a sample has no part.
    """

    baseline_params = {"fraction": 0.0}
    takes_mixed = True

    fraction: Fraction = 0.3
    beta: Positive = 1.0
    clip: Positive | None = None

    trained: Tensor | None = state()  # (n,) bool, in the epoch before

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if setup.task != "classification":
            yield "", f"needs a class for each sample, and a {setup.task} task has none"
        if text := setup.too_few_left(self.fraction):
            yield "fraction", text

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if stats.label is None:
            raise ValueError("it needs a class for each sample, and this data set has none")
        if not self.fraction:
            return EpochPlan(epoch.all_ids)
        if self.trained is None:
            self.trained = torch.ones(epoch.n_samples, dtype=torch.bool, device=epoch.device)
        clip = log(epoch.n_classes) if self.clip is None else self.clip
        hardness = stats.loss.double().clamp(max=clip) / self.beta
        at, classes = epoch.uniform(epoch.n_samples), by_class(stats.label)
        importance = [hardness[members].softmax(0) for members in classes]
        mass = [float(p[self.trained[members]].sum()) for p, members in zip(importance, classes, strict=True)]
        n_kept = epoch.n_samples - share_of(epoch.n_samples, self.fraction)
        counts = shared_out(n_kept, [len(members) for members in classes], mass)
        drawn = torch.zeros(epoch.n_samples, dtype=torch.bool, device=epoch.device)
        for members, p, count in zip(classes, importance, counts, strict=True):
            drawn[members] = drawn_distinct(p, at[members], count)
        self.trained = drawn
        return EpochPlan(drawn.nonzero().squeeze(1))


def shared_out(n_kept: int, sizes: list[int], mass: list[float]) -> list[int]:
    """How many of each class are kept: in proportion to the root of mass times size, rounded up, never more than all.

    Args:
        n_kept: of all classes together.
        sizes: of the classes, at least 1 each.
        mass: of the classes, at least 0.
    """
    weight = {c: (m * size) ** 0.5 for c, (m, size) in enumerate(zip(mass, sizes, strict=True))}
    counts = [0.0] * len(sizes)
    open_classes, left = set(weight), float(n_kept)
    while open_classes:
        total = sum(weight[c] for c in open_classes)
        parts = {c: left * weight[c] / total if total > 0 else left / len(open_classes) for c in open_classes}
        full = {c for c in open_classes if parts[c] >= sizes[c]}
        if not full:
            for c in open_classes:
                counts[c] = parts[c]
            break
        for c in full:
            counts[c] = float(sizes[c])
            left -= sizes[c]
        open_classes -= full
    return [min(size, ceil(count)) for size, count in zip(sizes, counts, strict=True)]
