"""What a run remembers of each sample is small, 24 bytes, or declared by its strategy."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from strategy_needs import NEEDED
from torch import Tensor

from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.strategies import STRATEGIES, load
from kbench.strategies.api import Batch, Epoch, Measured, Strategy

STORE_BYTES, WIDTH_OF = 19, (10, 16)  # classes and features
SIZES, BATCH = (6400, 12800), 64
CPU = torch.device("cpu")


def trained(name: str, n: int, epoch_at: Callable[..., Epoch], probe_of: Any) -> tuple[Strategy, int]:
    """A strategy after three epochs of each phase, with losses out of thin air; the most bytes that were resident."""
    strategy, store, comm = load(name, NEEDED.get(name)), SampleStore(n, 10, CPU), Comm()
    rng, most = torch.Generator().manual_seed(n), 0
    store.labels = torch.arange(n) % 10
    width = strategy.memory_width(*WIDTH_OF)
    if width:
        store.widen(width)
    for phase in strategy.phases(3):
        for index in [*range(min(3, phase.epochs)), *([phase.epochs - 1] if phase.epochs > 3 else [])]:
            epoch = epoch_at(n, index, epochs=phase.epochs, phase=phase.name)
            plan = strategy.plan(epoch, store.view())
            most = max(most, resident_bytes(strategy, store) - 4 * n * width)
            probe = probe_of(epoch, list(torch.rand(2 * n // BATCH, 1, generator=rng)))
            for ids in plan.indices[: len(plan.indices) // BATCH * BATCH].split(BATCH * plan.candidate_batches):
                probe.losses[probe.asked : probe.asked + 1] = [torch.rand(len(ids), generator=rng) * 4]
                strategy.select(batch(ids), probe)
                measured = measurement(torch.rand(BATCH, generator=rng) * 4)
                strategy.observe(batch(ids[:BATCH]), measured)
                store.write(ids[:BATCH], measured)
            if plan.refresh is not None:
                store.write(plan.refresh, measurement(torch.rand(len(plan.refresh), generator=rng)))
                if width:
                    store.remember(plan.refresh, torch.rand(len(plan.refresh), width, generator=rng))
            store.merge(comm)
    return strategy, max(most, resident_bytes(strategy, store) - 4 * n * width)


def batch(ids: Tensor) -> Batch:
    return Batch(ids, torch.zeros(len(ids), 1, 2, 2), ids % 10)


def measurement(loss: Tensor) -> Measured:
    return Measured(loss, loss < 1, torch.exp(-loss), 1 - torch.exp(-loss))


def resident_bytes(strategy: Strategy, store: SampleStore) -> int:
    """The storage that tensors keep alive, each once: a row of a table keeps the whole table."""
    inner = vars(strategy.inner).values() if strategy.inner else ()
    held = [*(value for name, value in vars(store).items() if name != "labels"), *vars(strategy).values(), *inner]
    storages = [value.untyped_storage() for value in held if isinstance(value, Tensor)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.parametrize("name", STRATEGIES)
def test_store_and_strategy_remember_at_most_what_is_declared_of_each_sample(
    name: str, epoch_at: Callable[..., Epoch], probe_of: Any
) -> None:
    (strategy, small), (_, large) = (trained(name, n, epoch_at, probe_of) for n in SIZES)
    per_sample = (large - small) / (SIZES[1] - SIZES[0])  # windows and assistants don't grow with n
    assert STORE_BYTES <= per_sample <= STORE_BYTES + strategy.n_bytes_per_sample


def test_the_store_alone_takes_19_bytes_a_sample() -> None:
    store = SampleStore(1000, 10, CPU)
    assert resident_bytes(load("baseline"), store) == 19_000
    assert store.view().loss[0] == pytest.approx(math.log(10))
