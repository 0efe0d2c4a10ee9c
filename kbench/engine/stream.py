"""From a plan to the batches of a rank: order, deal, look, keep."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kbench.engine.comm import Comm
from kbench.engine.learner import Learner
from kbench.engine.samples import SampleStore
from kbench.engine.timer import PhaseTimer
from kbench.strategies.api import Batch, Epoch, Measured, Strategy

QUEUE_BATCHES = 8  # kept samples that may wait, in batches; beyond it the oldest are dropped

Placed = tuple[float, Batch]  # position within the epoch, in (0, 1), and the batch


def deal(indices: Tensor, rng: torch.Generator, *, global_batch: int, comm: Comm) -> tuple[Tensor, ...]:
    """Shuffle, cut into full global batches, and take this rank's slice of each.

    The global batches are the same for any number of ranks.  Nothing is padded: the tail, less
    than one global batch, is left out, for the baseline and the methods alike.
    Returns one (global_batch / ranks,) int64 tensor of sample ids per step.
    """
    order = indices[torch.randperm(len(indices), generator=rng).to(indices.device)]
    full = order[: len(order) // global_batch * global_batch]
    mine = full.view(-1, comm.size, global_batch // comm.size)[:, comm.rank]
    return mine.unbind(0)


def chosen(
    candidates: Iterator[Placed], strategy: Strategy, probe: "ModelProbe", timer: PhaseTimer, *, size: int
) -> Iterator[Placed]:
    """Yield the batches to train on: full ones only, and equally many on every rank.

    Candidates pass untouched until the strategy first weighs one; from then on kept samples
    queue up and leave when every rank has a full batch.  What still waits at the end of the
    epoch is dropped, like the tail of any epoch, and counted in ``probe.n_dropped``.
    """
    queue: Queue | None = None
    for position, batch in candidates:
        weight = strategy.select(batch, probe)
        if queue is None and weight is None:
            timer.lap("select_s")
            yield position, batch
            continue
        queue = queue or Queue(QUEUE_BATCHES * size)
        queue.push(batch, weight)
        ready = probe.comm.min(len(queue) // size)
        timer.lap("select_s")
        for _ in range(ready):
            full = queue.pop(size)
            timer.lap("select_s")
            yield position, full
    if queue is not None:
        probe.n_dropped += queue.n_dropped + len(queue)


class Queue:
    """Kept samples that wait for a full batch: at most ``limit``, the oldest leave first."""

    def __init__(self, limit: int) -> None:
        self._limit, self.n_dropped = limit, 0
        self._waiting: Batch | None = None

    def __len__(self) -> int:
        return 0 if self._waiting is None else len(self._waiting)

    def push(self, batch: Batch, weight: Tensor | None) -> None:
        """Queue what ``weight`` ((b,) float32, None: all with weight 1) keeps of a batch."""
        own = torch.ones(len(batch), device=batch.x.device) if batch.weight is None else batch.weight
        weight = own if weight is None else own * weight
        kept = (weight > 0).nonzero().squeeze(1)
        new = Batch(batch.index[kept], batch.x[kept], batch.y[kept], weight[kept])
        joined = new if self._waiting is None else _join(self._waiting, new)
        excess = max(0, len(joined) - self._limit)
        self.n_dropped += excess
        self._waiting = _part(joined, excess, len(joined))

    def pop(self, size: int) -> Batch:
        """Take the ``size`` samples that have waited longest."""
        assert self._waiting is not None and len(self._waiting) >= size
        first, self._waiting = _part(self._waiting, 0, size), _part(self._waiting, size, len(self))
        return first


def _join(a: Batch, b: Batch) -> Batch:
    assert a.weight is not None and b.weight is not None
    fields = ((a.index, b.index), (a.x, b.x), (a.y, b.y), (a.weight, b.weight))
    return Batch(*(torch.cat(both) for both in fields))


def _part(batch: Batch, start: int, end: int) -> Batch:
    assert batch.weight is not None
    return Batch(*(t[start:end] for t in (batch.index, batch.x, batch.y, batch.weight)))


class ModelProbe:
    """Lets a strategy look at candidates through the model in training, and counts what it cost."""

    def __init__(self, learner: Learner, store: SampleStore, epoch: Epoch, comm: Comm, rng: torch.Generator) -> None:
        self.learner, self.store, self.epoch, self.comm = learner, store, epoch, comm
        self._rng = rng
        self.n_scored = self.n_dropped = 0

    def measure(self, batch: Batch) -> Measured:
        """Look at a batch in evaluation mode; what is seen is remembered."""
        measured = self.learner.measure(batch)
        self.store.write(batch.index, measured)
        self.n_scored += len(batch)
        return measured

    def uniform(self, n: int) -> Tensor:
        """(n,) float32 in [0, 1) on the device, from this rank's own stream."""
        return torch.rand(n, generator=self._rng, device=self._rng.device)
