"""From a plan to the batches that a rank trains on: shuffle, shard, select, queue."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from kbench.engine.clock import PhaseTimer
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Batch, Resample, Strategy

QUEUE_BATCHES = 8  # [batch] of selected samples may wait, or twice the candidates; then the oldest are dropped


class PositionedBatch(NamedTuple):
    """Candidates of one rank, and where in the epoch they stand: from ``start`` to ``end``, in [0, 1]."""

    start: float
    end: float
    batch: Batch

    def at(self, part: int, parts: int) -> float:
        """The position in the middle of the ``part``-th of so many equal parts of the candidates."""
        return self.start + (part + 0.5) / parts * (self.end - self.start)


def shard(
    indices: Tensor, rng: torch.Generator, *, global_batch: int, candidate_batches: int, comm: Comm
) -> tuple[Tensor, ...]:
    """Shuffle, cut into full global batches, and take this rank's slice of each.

    The global batches are the same for any number of ranks.  Nothing is padded: the tail, less
    than one global batch, is left out, for the baseline and the methods alike.

    Args:
        indices: (m,) int64 sample ids of the plan, the same on every rank.
        rng: the order's stream, on the CPU, in the same state on every rank.
        global_batch: [sample] of one step over all ranks; a multiple of their number.
        candidate_batches: [global batch] that the strategy selects from at once.

    Returns:
        (candidate_batches * global_batch / ranks,) int64 tensors of sample ids, the last perhaps of fewer batches.
    """
    order = indices[torch.randperm(len(indices), generator=rng).to(indices.device)]
    full = order[: len(order) // global_batch * global_batch]
    mine = full.view(-1, comm.size, global_batch // comm.size)[:, comm.rank]
    return tuple(batches.flatten() for batches in torch.split(mine, candidate_batches)) if len(mine) else ()


def selected_batches(
    candidates: Iterator[PositionedBatch], strategy: Strategy, probe: ModelProbe, timer: PhaseTimer, *, size: int
) -> Iterator[tuple[float, Batch]]:
    """Yield the batches to train on: full ones, equally many on every rank.

    Candidates pass untouched until the strategy first weighs some; from then on selected samples
    queue up and leave when every rank has a full batch.  What still waits at the end of the
    epoch is dropped, like the tail of any epoch, and counted in ``probe.n_dropped``.

    Args:
        candidates: this rank's, in the order of the epoch.
        size: [sample] of this rank's batches: global_batch / ranks.

    Yields:
        The position in the epoch, in [0, 1], and a batch of ``size`` samples.
    """
    queue: Queue | None = None
    for positioned in candidates:
        selection = strategy.select(positioned.batch, probe)
        if queue is None and selection is None:
            parts = _cut(positioned.batch, size)
            ready = len(parts)
        else:
            if queue is None:  # and not where it is empty: it counts what it dropped
                queue = Queue(max(QUEUE_BATCHES * size, 2 * len(positioned.batch)))
            queue.push(positioned.batch, selection)
            ready = probe.comm.min(len(queue) // size)
        timer.lap("select_s")
        for i in range(ready):
            full = parts[i] if queue is None else queue.pop(size)
            timer.lap("select_s")
            yield positioned.at(i, ready), full
    if queue is not None:
        probe.n_dropped += queue.n_dropped + len(queue)


class Queue:
    """Selected samples that wait for a full batch: at most ``limit``, the oldest leave first."""

    def __init__(self, limit: int) -> None:
        self._limit, self.n_dropped = limit, 0
        self._waiting: Batch | None = None

    def __len__(self) -> int:
        return 0 if self._waiting is None else len(self._waiting)

    def push(self, batch: Batch, selection: Tensor | Resample | None) -> None:
        """Queue what a strategy selected of b candidates: (b,) float32 weights, a Resample, or None for all."""
        if not isinstance(selection, Resample):
            weight = torch.ones(len(batch), device=batch.x.device) if selection is None else selection
            rows = (weight > 0).nonzero().squeeze(1)
            selection = Resample(rows, weight[rows])
        new = batch.rows(selection.rows)
        weight = selection.weight if new.weight is None else selection.weight * new.weight
        new = replace(new, weight=weight)
        joined = new if self._waiting is None else _joined(self._waiting, new)
        excess = max(0, len(joined) - self._limit)
        self.n_dropped += excess
        self._waiting = joined.rows(slice(excess, None))

    def pop(self, size: int) -> Batch:
        """Take the ``size`` samples that have waited longest."""
        assert self._waiting is not None and len(self._waiting) >= size
        first, self._waiting = self._waiting.rows(slice(size)), self._waiting.rows(slice(size, None))
        return first


def _joined(a: Batch, b: Batch) -> Batch:
    assert a.weight is not None and b.weight is not None
    index, x, y, weight = map(torch.cat, ((a.index, b.index), (a.x, b.x), (a.y, b.y), (a.weight, b.weight)))
    mix = None if a.mix is None or b.mix is None else (torch.cat([a.mix[0], b.mix[0]]), torch.cat([a.mix[1], b.mix[1]]))
    return Batch(index, x, y, weight, mix)


def _cut(batch: Batch, size: int) -> list[Batch]:
    if len(batch) == size:
        return [batch]
    return [batch.rows(slice(start, start + size)) for start in range(0, len(batch), size)]
