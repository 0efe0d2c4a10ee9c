"""The per-sample statistics of a run, merged over the ranks once an epoch."""

import math

import torch
from torch import Tensor

from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Measured, SampleStats


class SampleStore:
    """Per-sample statistics: local writes during an epoch, one merge at its end.

    They lie on the training device, 19 bytes a sample; writing never waits for the device.

    Args:
        n_samples: How many samples there are.
        n_classes: Of how many classes; what was never measured counts as a uniform guess among them.
        device: Where they lie.
        labels: (n_samples,) int64, their classes; None where a sample has no single one.

    Attributes:
        values: (4, n_samples) float32: loss [nat], correct (0 or 1; a share after a merge), confidence, error_norm.
        written: (n_samples,) bool: measured on this rank since the last merge.
        age: (n_samples,) int16 [epoch] since a sample was measured; -1: never.
        memory: (n_samples, width) float32, 0 where nothing was remembered; None unless it was widened.
    """

    def __init__(self, n_samples: int, n_classes: int, device: torch.device, *, labels: Tensor | None = None) -> None:
        guess = torch.tensor([math.log(n_classes), 0.0, 1 / n_classes, math.sqrt(1 - 1 / n_classes)])
        self.values = guess[:, None].repeat(1, n_samples).to(device)
        self.written = torch.zeros(n_samples, dtype=torch.bool, device=device)
        self.age = torch.full((n_samples,), -1, dtype=torch.int16, device=device)
        self.labels = labels
        self.memory: Tensor | None = None
        self._remembered: list[Tensor] = []  # ids, batch by batch, since the last merge

    def write(self, index: Tensor, m: Measured) -> None:
        """Store what was measured of the samples ``index`` ((b,) int64); the latest measurement stands."""
        self.values[:, index] = torch.stack([m.loss, m.correct.float(), m.confidence, m.error_norm])
        self.written[index] = True

    def widen(self, width: int) -> None:
        """Make room for ``width`` numbers of each sample, 4 bytes each."""
        self.memory = torch.zeros(len(self.age), width, device=self.age.device)

    def remember(self, index: Tensor, rows: Tensor) -> None:
        """Keep what a strategy remembers of the samples ``index`` ((b,) int64): (b, width) float32."""
        assert self.memory is not None
        self.memory[index] = rows
        self._remembered.append(index)

    def merge(self, comm: Comm) -> None:
        """Give every rank what any rank measured or remembered, and let the rest grow older.

        A sample that several ranks measured counts once, with the mean of their measurements.  One rank refreshes it,
        so that one remembers it.
        """
        self._merge_memory(comm)
        count = self.written.float()
        total = comm.sum(torch.cat([self.values * count, count[None]]))
        count = total[-1]
        fresh = count > 0
        self.values = torch.where(fresh, total[:-1] / count.clamp_min(1), self.values)
        older = torch.where(self.age < 0, -1, self.age + 1)
        self.age = torch.where(fresh, 0, older).to(torch.int16)
        self.written.zero_()

    def _merge_memory(self, comm: Comm) -> None:
        if self.memory is None or comm.size == 1:
            self._remembered = []
            return
        held = torch.zeros(len(self.memory), dtype=torch.bool, device=self.memory.device)
        held[torch.cat(self._remembered) if self._remembered else []] = True
        total = comm.sum(torch.cat([torch.where(held[:, None], self.memory, 0.0), held[:, None].float()], dim=1))
        self.memory = torch.where(total[:, -1:] > 0, total[:, :-1], self.memory)
        self._remembered = []

    def view(self) -> SampleStats:
        """A copy of the statistics, (n_samples,) each, so that a strategy cannot change what it is shown."""
        loss, correct, confidence, error_norm = (row.clone() for row in self.values)  # so that one can be kept alone
        label = None if self.labels is None else self.labels.clone()
        memory = None if self.memory is None else self.memory.clone()
        return SampleStats(loss, correct > 0.5, confidence, error_norm, self.age.clone(), label, memory)
