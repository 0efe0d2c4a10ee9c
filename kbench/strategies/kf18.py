"""Katharopoulos and Fleuret 2018: draw batches by a bound of the gradient norm, once that is worth its cost."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Count, Flag, Fraction, NonNegative
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Probe, Resample, SampleStats, Strategy, state
from kbench.strategies.ranking import draw


@dataclass
class KF18(Strategy):
    """Trains on b of B candidates, drawn with replacement by error_norm and weighted back, while tau is high.

    Source: Katharopoulos and Fleuret 2018 (arXiv:1803.00942, Algorithm 1) and their library.
    ``presample`` is B / b.  g is the error_norm, the norm of the loss's gradient at the logits, over
    its sum; each draw weighs 1 / (B g), so that the gradient stays unbiased.  tau says how many times
    larger a uniform batch would have to be for as little variance: tau <- ``momentum`` tau +
    (1 - ``momentum``) x from 0, with x = (1 - |g - u|^2 / sum g^2)^(-1/2), which is the root of
    n sum g^2.  ``root: false`` leaves out the root, as the paper's formula does; its experiments and
    the library have it.  Candidates are drawn from while tau is above ``threshold``; None is
    (B + 3 b) / (3 b), from where a draw beats a uniform batch of the same cost if a backward pass
    costs two forward ones (the library's default; the paper's experiments use less, 1.5 for B = 5 b).
    ``presample`` 3 and ``momentum`` 0.9 are the library's; error norms of the candidates are measured in
    evaluation mode, those of uniform batches in training, as there.
    Our reading: an epoch is one pass over candidates, as for ``sb``, so an epoch of draws makes
    n / B updates at (B + 3 b) / (3 B) of the time; the paper runs by the wall clock, and the
    library's epochs make n / b updates however long they take.  Departures: candidates come without
    replacement within an epoch; each rank draws from its own part, with g over that part, and tau is
    the mean over the ranks, for which each draw waits for all of them (and for the device); the last
    candidates of an epoch may be fewer and still give one batch; a single batch is trained as it is.
    """

    baseline_params = {"threshold": 1e9}  # tau is never above the root of a batch's length, or the length

    presample: Count = 3
    threshold: NonNegative | None = None
    momentum: Fraction = 0.9
    root: Flag = True

    tau: Tensor | None = state()  # () float64, this rank's part of the mean; None: nothing was measured
    size: int = state(0)  # [sample] of this rank's batches
    drawing: bool = state(False)  # the candidates at hand are drawn from

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids, candidate_batches=self.presample)

    def select(self, batch: Batch, probe: Probe) -> Resample | None:
        self.drawing = self._worthwhile(probe) and len(batch) > self.size
        if not self.drawing:
            return None
        g = shares(probe.measure(batch).error_norm)
        self._follow(g)
        rows = draw(g, probe.uniform(self.size).double())
        return Resample(rows, (1 / (len(batch) * g[rows])).float())

    def observe(self, batch: Batch, measured: Measured) -> None:
        self.size = len(batch)  # always full, and seen before the first draw
        if not self.drawing:
            self._follow(shares(measured.error_norm))

    def _worthwhile(self, probe: Probe) -> bool:
        threshold = (self.presample + 3) / 3 if self.threshold is None else self.threshold
        return self.tau is not None and probe.mean(self.tau) > threshold

    def _follow(self, g: Tensor) -> None:
        gain = len(g) * (g**2).sum()
        past = torch.zeros_like(gain) if self.tau is None else self.tau
        self.tau = self.momentum * past + (1 - self.momentum) * (gain.sqrt() if self.root else gain)


def shares(error_norm: Tensor) -> Tensor:
    """(n,) float64 that add up to 1: ``error_norm`` over its sum; equal shares where that is zero."""
    exact = error_norm.double()
    total = exact.sum()
    return torch.where(total > 0, exact / total, 1 / len(exact))
