"""The probe of a running training: measures candidates for a strategy, and counts what that cost."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kbench.engine.learner import Learner
from kbench.engine.runtime.background import Background
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.strategies.api import Batch, Epoch, Measured, Outputs


class ModelProbe:
    """The Probe of kbench.strategies.api on the model in training; one for each epoch."""

    def __init__(self, learner: Learner, store: SampleStore, epoch: Epoch, comm: Comm, rng: torch.Generator) -> None:
        self.learner, self.store, self.epoch, self.comm = learner, store, epoch, comm
        self._rng, self._background = rng, Background(rng.device)
        self.n_scored = self.n_dropped = 0
        self.background_s = 0.0

    def measure(self, batch: Batch) -> Measured:
        """Forward a batch in evaluation mode; the store keeps the statistics."""
        measured = self.learner.measure(batch)
        self.store.write(batch.index, measured)
        self.n_scored += len(batch)
        return measured

    def outputs(self, batch: Batch) -> Outputs:
        """Forward a batch as ``measure`` does, and give logits and the last layer's input."""
        measured, outputs = self.learner.measure_outputs(batch)
        self.store.write(batch.index, measured)
        self.n_scored += len(batch)
        return outputs

    def uniform(self, n: int) -> Tensor:
        """(n,) float32 in [0, 1) on the device, from this rank's own stream."""
        return torch.rand(n, generator=self._rng, device=self._rng.device)

    def mean(self, number: Tensor) -> float:
        """The mean of ``number`` over the ranks; every rank must ask at the same step."""
        return sum(row[0] for row in self.comm.gather([float(number)])) / self.comm.size

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        """Run ``work`` in the background; ``then`` gets the result when it is ``lag`` works old."""
        self._background.give(work, then, lag=lag)

    def settle(self) -> None:
        """Wait for the background work, and record how long it took."""
        self.background_s = self._background.settle()
