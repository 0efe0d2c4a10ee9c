"""RS2: train each epoch on another random share of the samples, so that in turn all are seen."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Flag, Fraction
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy, TrainingSetup, share_of, state
from kbench.strategies.ranking import by_class, shuffled


@dataclass
class RS2(Strategy):
    """Leaves out ``int(fraction * n)`` samples in each epoch: a shuffled order is walked through, share by share.

    Source: Okanovic et al., ICLR 2024 (arXiv:2305.18424), of which we have the abstract, and their code
    (``UniformNoReplacement``).  Without ``replacement`` (default) all samples are shuffled once, each epoch trains on
    the next share of that order, and whoever reaches its end shuffles anew: in 1 / (1 - fraction) epochs each sample
    is seen about once.  With ``replacement`` each epoch draws its share from all samples, none twice: what the
    control ``random`` does.  ``stratified`` gives every class its part of each share, rounded down, with whatever
    that leaves missing drawn from all; it goes with ``replacement``, as in their code, where it is ``balance``.
    Departure: a share that reaches the end of the order is completed from the next order, without samples that it
    has already; theirs is completed from the beginning of the same order.
    """

    role = "control"
    baseline_params = {"fraction": 0.0}
    takes_mixed = True

    fraction: Fraction = 0.3
    replacement: Flag = False
    stratified: Flag = False

    order: Tensor | None = state()  # (n,) int32
    n_used: int = state(0)  # of the order

    def __post_init__(self) -> None:
        if self.stratified and not self.replacement:
            raise ValueError("stratified goes with replacement: true, an order that is walked through knows no classes")

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if text := setup.too_few_left(self.fraction):
            yield "fraction", text
        if self.stratified and setup.task != "classification":
            yield "stratified", f"needs a class for each sample, and a {setup.task} task has none"

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        n_kept = epoch.n_samples - share_of(epoch.n_samples, self.fraction)
        chosen = self._drawn(epoch, stats, n_kept) if self.replacement else self._next(epoch, n_kept)
        return EpochPlan(chosen.sort().values)

    def _next(self, epoch: Epoch, n_kept: int) -> Tensor:
        """The next ``n_kept`` samples of the order; a new one begins where it ends."""
        if self.order is None:
            self.order, self.n_used = shuffled(epoch).int(), 0
        head = self.order[self.n_used : self.n_used + n_kept].long()
        self.n_used += len(head)
        if n_missing := n_kept - len(head):
            fresh = shuffled(epoch)
            has = torch.zeros(epoch.n_samples, dtype=torch.bool, device=fresh.device)
            has[head] = True
            late = has[fresh]  # those that this epoch has already come last in the new order
            self.order, self.n_used = torch.cat([fresh[~late], fresh[late]]).int(), n_missing
            head = torch.cat([head, self.order[:n_missing].long()])
        return head

    def _drawn(self, epoch: Epoch, stats: SampleStats, n_kept: int) -> Tensor:
        order = shuffled(epoch)
        if not self.stratified:
            return order[:n_kept]
        if stats.label is None:
            raise ValueError("stratified needs a class for each sample, and this data set has none")
        classes = by_class(stats.label[order])
        parts = [members[: len(members) * n_kept // epoch.n_samples] for members in classes]
        chosen = torch.zeros(epoch.n_samples, dtype=torch.bool, device=order.device)
        chosen[torch.cat(parts)] = True  # places in the order
        rest = (~chosen).nonzero().squeeze(1)[: n_kept - int(chosen.sum())]
        chosen[rest] = True
        return order[chosen]
