"""Runs of the real loop on the digits, ranks that are threads, and whole trainings that several tests share."""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from kbench.config.experiment import Pair
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.records.schema import EpochRecord
from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Resample, SampleStats
from kbench.tasks.workload import Workload

T = TypeVar("T")
CPU = torch.device("cpu")
RECIPE = {"epochs": 3, "global_batch": 48, "lr": 0.05, "schedule": "cosine", "augment": "shift"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two busy cores are no place for thread pools."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def _workload(recipe: str) -> Workload:
    pair = {"model": "digits-cnn", "dataset": "digits", "recipe": json.loads(recipe)}
    return Workload(Pair.model_validate(pair), CPU)


@pytest.fixture(scope="session")
def workload_of() -> Callable[..., Workload]:
    """``workload_of(lr=0.1)``: the digits with a recipe that differs from RECIPE there."""
    return lambda **recipe: _workload(json.dumps(RECIPE | recipe))


@pytest.fixture(scope="session")
def run_of(workload_of: Callable[..., Workload]) -> Callable[..., Run]:
    """``run_of("random", {"fraction": 0.5}, lr=0.1)``: a run that is about to start."""

    def make(name: str = "baseline", params: dict[str, Any] | None = None, *, seed: int = 0, **recipe: Any) -> Run:
        workload = workload_of(**recipe)
        return Run(
            strategy=load(name, params),
            workload=workload,
            comm=Comm(),
            store=SampleStore(workload.n_samples, workload.n_classes, CPU, labels=workload.labels),
            timer=PhaseTimer(CPU),
            seed=seed,
            attempt=1,
        )

    return make


@dataclass
class Training:
    """A run from its beginning to its end: its records, and what its strategy was shown on the way."""

    records: list[EpochRecord] = field(default_factory=list)
    plans: list[EpochPlan] = field(default_factory=list)
    shown: list[SampleStats] = field(default_factory=list)  # to each plan
    trained: list[list[tuple[Batch, Measured]]] = field(default_factory=list)  # by epoch
    n_selected: list[int] = field(default_factory=list)  # by epoch: samples that select gave a weight above 0 or drew

    def ids(self, epoch: int) -> list[int]:
        """The samples trained on, in order."""
        return [i for batch, _ in self.trained[epoch] for i in batch.index.tolist()]

    def views(self, epoch: int) -> dict[int, bytes]:
        """How each sample looked."""
        return {
            i: x.numpy().tobytes()
            for batch, _ in self.trained[epoch]
            for i, x in zip(batch.index.tolist(), batch.x, strict=True)
        }


def observed(run: Run) -> Training:
    """Train to the end; listen to the hooks without changing what they answer."""
    training, strategy = Training(), run.strategy
    plan, select, observe = strategy.plan, strategy.select, strategy.observe

    def listening_plan(epoch: Epoch, stats: SampleStats) -> EpochPlan:
        training.shown.append(stats)
        training.plans.append(plan(epoch, stats))
        training.trained.append([])
        training.n_selected.append(0)
        return training.plans[-1]

    def listening_select(batch: Batch, probe: Any) -> Tensor | Resample | None:
        selection = select(batch, probe)
        weight = selection.weight if isinstance(selection, Resample) else selection
        training.n_selected[-1] += len(batch) if weight is None else int((weight > 0).sum())
        return selection

    def listening_observe(batch: Batch, measured: Measured) -> None:
        training.trained[-1].append((batch, measured))
        observe(batch, measured)

    strategy.plan, strategy.select, strategy.observe = (  # type: ignore[method-assign]
        listening_plan,
        listening_select,
        listening_observe,
    )
    training.records.extend(train(run))
    return training


@pytest.fixture(scope="session")
def training_of(run_of: Callable[..., Run]) -> Callable[..., Training]:
    """``training_of("sb", {"beta": 2.0})``: a whole run, trained once for all tests that want the same."""
    trained: dict[str, Training] = {}

    def trained_once(name: str = "baseline", params: dict[str, Any] | None = None, **more: Any) -> Training:
        key = json.dumps([name, params, more], sort_keys=True)
        if key not in trained:
            trained[key] = observed(run_of(name, params, **more))
        return trained[key]

    return trained_once


@pytest.fixture(scope="session")
def new_training_of(run_of: Callable[..., Run]) -> Callable[..., Training]:
    """The same, always from the beginning."""
    return lambda *what, **more: observed(run_of(*what, **more))


class ThreadComm(Comm):
    """Ranks that are threads: the two primitives that every collective is made of."""

    def __init__(self, rank: int, size: int, slots: list[Any], barrier: threading.Barrier) -> None:
        super().__init__()
        self.rank, self.size = rank, size
        self._slots, self._barrier = slots, barrier

    def sum(self, values: Tensor) -> Tensor:
        return values.copy_(torch.stack(self._exchanged(values)).sum(0))

    def _extreme(self, values: Tensor, op: dist.ReduceOp.RedOpType) -> Tensor:
        assert op == dist.ReduceOp.MIN
        return values.copy_(torch.stack(self._exchanged(values)).amin(0))

    def gather_objects(self, thing: T) -> list[T]:
        self._slots[self.rank] = copy.deepcopy(thing)
        self._barrier.wait(timeout=60)
        all_of_them = copy.deepcopy(self._slots)
        self._barrier.wait(timeout=60)
        return all_of_them

    def _exchanged(self, values: Tensor) -> list[Tensor]:
        self._slots[self.rank] = values.clone()
        self._barrier.wait(timeout=60)
        all_of_them = [slot.clone() for slot in self._slots]
        self._barrier.wait(timeout=60)
        return all_of_them


@pytest.fixture(scope="session")
def on_threads() -> Callable[[int, Callable[[Comm], Any]], list[Any]]:
    """``on_threads(3, work)``: what ``work(comm)`` returns on each of three ranks."""

    def run(size: int, work: Callable[[Comm], Any]) -> list[Any]:
        slots, barrier = [None] * size, threading.Barrier(size)
        comms = [ThreadComm(rank, size, slots, barrier) for rank in range(size)]
        with ThreadPoolExecutor(size) as pool:
            return list(pool.map(work, comms))

    return run
