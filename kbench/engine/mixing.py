"""Where in an epoch's order samples stand that are mixed with their neighbours, and the mixing of what was loaded."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload


def mixed(
    loaded: Iterator[Batch],
    workload: Workload,
    *,
    steps: Sequence[Tensor],
    refreshed: Sequence[Tensor],
    size: int,
    key: int,
    comm: Comm,
) -> Iterator[Batch]:
    """Mix batches as they are loaded, each sample with its neighbour: on the clock, as all of a view is.

    A place in the epoch is the same for any number of ranks, and so are pairs and what they are mixed by.

    Args:
        loaded: Batches of ``steps``, then those of ``refreshed``.
        workload: Whose recipe mixes samples.
        steps: Ids of this rank's candidates, of whole batches.
        refreshed: Ids of this rank's batches to measure after training, dealt in pairs.
        size: [sample] of a batch of this rank.
        key: Names the stream of random numbers of the epoch.
        comm: The ranks.
    """
    mixing = workload.mixing
    assert mixing is not None
    places = [*_places_of_steps(steps, size, comm), *_places_of_refreshed(refreshed, sum(map(len, steps)), comm)]
    for batch, at in zip(loaded, places, strict=True):
        x, y, other, share = mixing.mixed(batch.x, batch.y, at, key=key)
        yield replace(batch, x=x, y=y, mix=(other, share))


def dealt_in_pairs(ids: Tensor, comm: Comm) -> Tensor:
    """This rank's of ``ids``: each second pair of neighbours with two ranks, and so on; the last may be alone."""
    return ids[torch.arange(len(ids), device=ids.device) // 2 % comm.size == comm.rank]


def _places_of_steps(steps: Sequence[Tensor], size: int, comm: Comm) -> Iterator[Tensor]:
    done = 0  # batches of this rank before
    for ids in steps:
        row = torch.arange(len(ids))
        yield ((done + row // size) * comm.size + comm.rank) * size + row % size
        done += len(ids) // size


def _places_of_refreshed(batches: Sequence[Tensor], n_trained: int, comm: Comm) -> Iterator[Tensor]:
    before = 0  # samples of this rank before; each batch but the last is an even number
    for ids in batches:
        row = before + torch.arange(len(ids))
        yield n_trained * comm.size + (row // 2 * comm.size + comm.rank) * 2 + row % 2
        before += len(ids)
