"""From a plan to the batches of a rank: order, shard, look, keep."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from kbench.engine.clock import PhaseTimer
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Batch, Resample, Strategy

QUEUE_BATCHES = 8  # kept samples that may wait, in batches (two pools, if that is more); beyond, the oldest are dropped


class Placed(NamedTuple):
    """Candidates, and where in the epoch they stand: from ``start`` to ``end``, in [0, 1]."""

    start: float
    end: float
    batch: Batch

    def at(self, part: int, parts: int) -> float:
        """The middle of the ``part``-th of so many equal parts of the place."""
        return self.start + (part + 0.5) / parts * (self.end - self.start)


def shard(
    indices: Tensor, rng: torch.Generator, *, global_batch: int, candidate_batches: int, comm: Comm
) -> tuple[Tensor, ...]:
    """Shuffle, cut into full global batches, and take this rank's slice of each.

    The global batches are the same for any number of ranks.  Nothing is padded: the tail, less
    than one global batch, is left out, for the baseline and the methods alike.
    Returns (candidate_batches * global_batch / ranks,) int64 tensors of sample ids, the last perhaps of fewer batches.
    """
    order = indices[torch.randperm(len(indices), generator=rng).to(indices.device)]
    full = order[: len(order) // global_batch * global_batch]
    mine = full.view(-1, comm.size, global_batch // comm.size)[:, comm.rank]
    return tuple(batches.flatten() for batches in torch.split(mine, candidate_batches)) if len(mine) else ()


def chosen(
    candidates: Iterator[Placed], strategy: Strategy, probe: ModelProbe, timer: PhaseTimer, *, size: int
) -> Iterator[tuple[float, Batch]]:
    """Yield the batches to train on, each with its position: full ones, equally many on every rank.

    Candidates pass untouched until the strategy first weighs some; from then on kept samples
    queue up and leave when every rank has a full batch.  What still waits at the end of the
    epoch is dropped, like the tail of any epoch, and counted in ``probe.n_dropped``.
    """
    queue: Queue | None = None
    for placed in candidates:
        kept = strategy.select(placed.batch, probe)
        if queue is None and kept is None:
            parts = _cut(placed.batch, size)
            ready = len(parts)
        else:
            if queue is None:  # and not where it is empty: it counts what it dropped
                queue = Queue(max(QUEUE_BATCHES * size, 2 * len(placed.batch)))
            queue.push(placed.batch, kept)
            ready = probe.comm.min(len(queue) // size)
        timer.lap("select_s")
        for i in range(ready):
            full = parts[i] if queue is None else queue.pop(size)
            timer.lap("select_s")
            yield placed.at(i, ready), full
    if queue is not None:
        probe.n_dropped += queue.n_dropped + len(queue)


class Queue:
    """Kept samples that wait for a full batch: at most ``limit``, the oldest leave first."""

    def __init__(self, limit: int) -> None:
        self._limit, self.n_dropped = limit, 0
        self._waiting: Batch | None = None

    def __len__(self) -> int:
        return 0 if self._waiting is None else len(self._waiting)

    def push(self, batch: Batch, kept: Tensor | Resample | None) -> None:
        """Queue what a strategy keeps of a batch; None is all of it, with weight 1."""
        if not isinstance(kept, Resample):
            weight = torch.ones(len(batch), device=batch.x.device) if kept is None else kept
            rows = (weight > 0).nonzero().squeeze(1)
            kept = Resample(rows, weight[rows])
        new = _rows(batch, kept.rows)
        weight = kept.weight if new.weight is None else kept.weight * new.weight
        new = Batch(new.index, new.x, new.y, weight)
        joined = new if self._waiting is None else _joined(self._waiting, new)
        excess = max(0, len(joined) - self._limit)
        self.n_dropped += excess
        self._waiting = _rows(joined, slice(excess, None))

    def pop(self, size: int) -> Batch:
        """Take the ``size`` samples that have waited longest."""
        assert self._waiting is not None and len(self._waiting) >= size
        first, self._waiting = _rows(self._waiting, slice(size)), _rows(self._waiting, slice(size, None))
        return first


def _joined(a: Batch, b: Batch) -> Batch:
    assert a.weight is not None and b.weight is not None
    fields = ((a.index, b.index), (a.x, b.x), (a.y, b.y), (a.weight, b.weight))
    return Batch(*(torch.cat(both) for both in fields))


def _rows(batch: Batch, rows: Tensor | slice) -> Batch:
    weight = None if batch.weight is None else batch.weight[rows]
    return Batch(batch.index[rows], batch.x[rows], batch.y[rows], weight)


def _cut(batch: Batch, size: int) -> list[Batch]:
    if len(batch) == size:
        return [batch]
    return [_rows(batch, slice(start, start + size)) for start in range(0, len(batch), size)]
