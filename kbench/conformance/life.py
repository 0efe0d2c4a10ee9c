"""A short training in this process: the real loop, on a part of the digits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from kbench.data.arrays import Arrays
from kbench.engine.comm import Comm
from kbench.engine.loop import Run, train
from kbench.engine.samples import SampleStore
from kbench.engine.timer import PhaseTimer
from kbench.records.schema import EpochRecord
from kbench.spec.experiment import Pair
from kbench.strategies.api import Strategy
from kbench.workloads.workload import Workload

EPOCHS, GLOBAL_BATCH = 4, 48
N_SAMPLES = 500  # ten batches and a tail
RECIPE = {
    "epochs": EPOCHS,
    "global_batch": GLOBAL_BATCH,
    "lr": 0.05,
    "schedule": "cosine",
    "warmup_epochs": 1.0,
    "augment": "shift",
}
PAIR = {"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE}


def live(strategy: Strategy) -> list[EpochRecord]:
    """Train with ``strategy`` from beginning to end, on one thread of the CPU; its epochs, in order."""
    workload = _some_digits()
    run = Run(
        strategy=strategy,
        workload=workload,
        comm=Comm(),
        store=SampleStore(workload.n_samples, workload.n_classes, workload.device),
        timer=PhaseTimer(workload.device),
        seed=0,
        attempt=1,
    )
    with one_thread(), as_rank_0(), torch.random.fork_rng(devices=[]):
        return list(train(run))


@cache
def _some_digits() -> Workload:
    workload = Workload(Pair.model_validate(PAIR), torch.device("cpu"))
    assert isinstance(workload.train, Arrays)
    workload.train = Arrays(workload.train.x[:N_SAMPLES], workload.train.y[:N_SAMPLES])
    workload.n_samples = N_SAMPLES
    return workload


@contextmanager
def one_thread() -> Iterator[None]:
    """Batches this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def as_rank_0() -> Iterator[None]:
    """Say what the job script of a single rank says, for methods that ask the environment."""
    place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    added = place.keys() - os.environ.keys()
    os.environ.update({name: place[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
