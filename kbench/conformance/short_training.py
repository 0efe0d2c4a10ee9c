"""A method under examination, and what was seen of it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.conformance.contract_rules import Finding
from kbench.conformance.monitor import ContractViolation, Monitor
from kbench.conformance.ranks import Ended, start
from kbench.data.loader import Arrays
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.errors import ConfigError, KBenchError
from kbench.records.schema import EpochRecord
from kbench.strategies import load
from kbench.strategies.api import Strategy
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


ON_TRIAL = "kbench.conformance.ranks:AbortCheck"
ASKED = "answer what kbench/strategies/api.py asks for"
TRIAL_BATCH = 144  # ten batches of the digits


@dataclass
class Seen:
    """What a method broke in its life, the first of each kind; ``ended``: before its time."""

    findings: dict[str, Finding] = field(default_factory=dict)
    ended: bool = False

    def note(self, finding: Finding) -> None:
        self.findings.setdefault(finding.check, finding)


class Case:
    """The method ``name`` with ``params``; what is looked at is looked at once.

    Raises ConfigError where there is no such method or its parameters are wrong.
    """

    def __init__(self, name: str, params: dict[str, Any] | None = None, *, ranks: tuple[int, ...] = (1, 2, 3)) -> None:
        self.name, self.params, self.ranks = name, params or {}, ranks
        try:
            self.baseline_params = self.make().baseline_params
        except KBenchError:
            raise
        except Exception as error:
            raise ConfigError(f"{name} cannot be made: {type(error).__name__}: {error}") from error
        self._trials: dict[int, Ended] = {}

    def make(self) -> Strategy:
        """A new instance."""
        return load(self.name, self.params)

    @cached_property
    def seen(self) -> Seen:
        """What was seen in a short training."""
        seen = Seen()
        try:
            live(Monitor(self.make, seen.note, global_batch=GLOBAL_BATCH))
        except ContractViolation:
            seen.ended = True
        except Exception as error:  # whatever a method made the loop stumble over
            told = (
                error if isinstance(error, KBenchError) else KBenchError(f"{type(error).__name__}: {error}", hint=ASKED)
            )
            seen.note(Finding(check="life", what=told.message, where="the training loop", do=told.hint))
            seen.ended = True
        return seen

    @cached_property
    def baseline_params_training(self) -> list[EpochRecord]:
        """The last phase of a training with the baseline_params."""
        return _last_phase(live(load(self.name, self.params | dict(self.baseline_params or {}))))

    @cached_property
    def baseline_training(self) -> list[EpochRecord]:
        """The baseline's training."""
        return _last_phase(live(load("baseline")))

    def trial(self, ranks: int) -> Ended:
        """A training on so many real ranks."""
        if ranks not in self._trials:
            recipe = RECIPE | {"epochs": 2, "global_batch": TRIAL_BATCH // ranks * ranks}
            pair = Pair.model_validate(PAIR | {"recipe": recipe})
            choice = Choice(label="method", name=ON_TRIAL, params={"method": self.name, "params": self.params})
            spec = RunSpec(experiment="check-method", pair=pair, strategy=choice, seed=0, ranks=ranks)
            with tempfile.TemporaryDirectory(prefix="kbench-") as place:
                self._trials[ranks] = start(spec, Path(place))
        return self._trials[ranks]


def _last_phase(records: list[EpochRecord]) -> list[EpochRecord]:
    return [record for record in records if record.phase == records[-1].phase]
