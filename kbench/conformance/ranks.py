"""Train a method shortly: in this process, or on real ranks, which are processes that run kbench.worker."""

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.conformance.monitor import Finding, Monitor
from kbench.data.loader import Arrays
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run, train
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.errors import RankError, RunError
from kbench.records.folders import RunDir
from kbench.records.run_files import Job
from kbench.records.schema import EpochRecord
from kbench.strategies import load
from kbench.strategies.api import Batch, Probe, Resample, Strategy
from kbench.tasks.workload import Workload

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


def train_shortly(strategy: Strategy) -> list[EpochRecord]:
    """Train with ``strategy`` on a part of the digits, on one thread of the CPU; returns its epochs, in order."""
    workload = _some_digits()
    run = Run(
        strategy=strategy,
        workload=workload,
        comm=Comm(),
        store=SampleStore(workload.n_samples, workload.n_classes, workload.device, labels=workload.labels),
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
    """Set the variables of a single rank, for methods that read the environment."""
    place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    added = place.keys() - os.environ.keys()
    os.environ.update({name: place[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


PATIENCE_S = 300.0  # ranks that still wait for one another by then never stop


@dataclass(frozen=True)
class Outcome:
    """How a run of several ranks ended."""

    codes: tuple[int | None, ...]  # exit codes by rank; None: it never ended
    error: str | None  # what went wrong
    hint: str = ""


def train_on_ranks(spec: RunSpec, place: Path) -> Outcome:
    """Train ``spec`` in the folder ``place`` with as many ranks as it names, on CPUs, and wait for the end."""
    folder = RunDir(place / spec.run_id)
    folder.prepare(spec)
    folder.begin(Job.of(attempt=1).updated(threads_per_rank=1))
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(spec.ranks),
        "CUDA_VISIBLE_DEVICES": "",
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kbench.worker.rank", "kbench.conformance.ranks"])
    processes = []
    for rank in range(spec.ranks):
        place_of_rank = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(context.Process(target=_be_rank, args=(str(folder.path), place_of_rank), daemon=True))
    for process in processes:
        process.start()
    return _how_it_ended(folder, _all_ended(processes))


def _how_it_ended(folder: RunDir, codes: tuple[int | None, ...]) -> Outcome:
    """How a run ended, from its own files."""
    end = folder.read()
    if end.failure:
        return Outcome(codes, end.failure.error, end.failure.hint)
    if None in codes:
        return Outcome(
            codes, f"the ranks waited for one another for {PATIENCE_S:g} s", "ask for the same on every rank"
        )
    if any(codes) or not end.done:
        lines = folder.stderr.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return Outcome(codes, f"the ranks ended with {codes}", lines[-1] if lines else "they printed nothing")
    return Outcome(codes, None)


def _all_ended(processes: list[ForkServerProcess]) -> tuple[int | None, ...]:
    """Wait for all ranks to end, and kill those that do not; returns their exit codes."""
    deadline = time.monotonic() + PATIENCE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    codes = tuple(process.exitcode for process in processes)
    for process in processes:
        process.kill()
        process.join()
    return codes


def _be_rank(folder: str, environ: dict[str, str]) -> None:
    """Run a rank of kbench.worker in a process of the server."""
    from kbench.worker.rank import main

    os.environ.update(environ)
    log = os.open(RunDir(Path(folder)).stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["kbench.worker", folder]
    main()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


ONE_OR_ALL = "whether select returned None"


@dataclass
class AbortCheck(Monitor):
    """The method ``method`` with ``params``, monitored on every rank: what it breaks aborts the run."""

    method: str
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(lambda: load(self.method, self.params), _abort, global_batch=1)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        selection = super().select(batch, probe)
        if isinstance(probe, ModelProbe):
            try:
                probe.comm.agree(int(selection is None), ONE_OR_ALL)
            except RankError as error:
                hint = "return None on every rank or on none; return ones to keep all"
                raise RankError(error.message, hint=hint) from None
        return selection


def _abort(finding: Finding) -> None:
    raise RunError(f"{finding.what} ({finding.where})", hint=finding.do)
