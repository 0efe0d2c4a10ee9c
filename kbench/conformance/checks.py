"""The checks of a method against the contract of kbench.strategies.api, in the order in which they are reported."""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.conformance.monitor import ContractViolation, Finding, Monitor
from kbench.conformance.parameters import (
    BEYOND_FLOAT32,
    MANY,
    id_precision_violation,
    parameter_violation,
    phase_violation,
    plan_agreement_violation,
)
from kbench.conformance.ranks import GLOBAL_BATCH, PAIR, RECIPE, Outcome, as_rank_0, train_on_ranks, train_shortly
from kbench.errors import ConfigError, KBenchError
from kbench.records.schema import EpochRecord
from kbench.strategies import load
from kbench.strategies.api import Strategy

MONITORED = "kbench.conformance.ranks:AbortCheck"
TO_DO = "answer what kbench/strategies/api.py asks for"
BATCH_ON_RANKS = 144  # ten batches of the digits


@dataclass
class ShortTraining:
    """What a method broke in a short training, the first of each kind; ``ended``: too early."""

    findings: dict[str, Finding] = field(default_factory=dict)
    ended: bool = False

    def note(self, finding: Finding) -> None:
        self.findings.setdefault(finding.check, finding)


class Case:
    """The method under examination: ``name`` with ``params``; each of its trainings is run once.

    Args:
        name: a known name, or ``package.module:Class``.
        params: its parameters; those left out have their defaults.
        ranks: how many real ranks to train it on, in turn.

    Raises:
        ConfigError: there is no such method, or its parameters are wrong.
    """

    def __init__(self, name: str, params: dict[str, Any] | None = None, *, ranks: tuple[int, ...] = (1, 2, 3)) -> None:
        self.name, self.params, self.ranks = name, params or {}, ranks
        try:
            self.baseline_params = self.make().baseline_params
        except KBenchError:
            raise
        except Exception as error:
            raise ConfigError(f"{name} cannot be made: {type(error).__name__}: {error}") from error
        self._on_ranks: dict[int, Outcome] = {}

    def make(self) -> Strategy:
        """A new instance."""
        return load(self.name, self.params)

    @cached_property
    def training(self) -> ShortTraining:
        """A short training in this process, monitored."""
        training = ShortTraining()
        try:
            train_shortly(Monitor(self.make, training.note, global_batch=GLOBAL_BATCH))
        except ContractViolation:
            training.ended = True
        except Exception as error:  # whatever a method made the loop stumble over
            what, do = f"{type(error).__name__}: {error}", TO_DO
            if isinstance(error, KBenchError):
                what, do = error.message, error.hint
            training.note(Finding(check="life", what=what, where="the training loop", do=do))
            training.ended = True
        return training

    @cached_property
    def baseline_params_training(self) -> list[EpochRecord]:
        """The last phase of a training with the baseline_params."""
        return _last_phase(train_shortly(load(self.name, self.params | dict(self.baseline_params or {}))))

    @cached_property
    def baseline_training(self) -> list[EpochRecord]:
        """The baseline's training."""
        return _last_phase(train_shortly(load("baseline")))

    def on_ranks(self, ranks: int) -> Outcome:
        """A training on so many real ranks, monitored."""
        if ranks not in self._on_ranks:
            recipe = RECIPE | {"epochs": 2, "global_batch": BATCH_ON_RANKS // ranks * ranks}
            pair = Pair.model_validate(PAIR | {"recipe": recipe})
            choice = Choice(label="method", name=MONITORED, params={"method": self.name, "params": self.params})
            spec = RunSpec(experiment="check-method", pair=pair, strategy=choice, seed=0, ranks=ranks)
            with tempfile.TemporaryDirectory(prefix="kbench-") as folder:
                self._on_ranks[ranks] = train_on_ranks(spec, Path(folder))
        return self._on_ranks[ranks]


def _last_phase(records: list[EpochRecord]) -> list[EpochRecord]:
    return [record for record in records if record.phase == records[-1].phase]


Answer = Finding | str | None  # broken; why it could not be checked; ok
ROUNDING = 1e-5  # relative: what another order of the same sums may do to a loss in the first epoch
ENDED = "its training ended early"
SAME_PLAN = "the plan of epoch"  # how the loop begins when ranks plan differently


Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One promise of the contract, and the function that checks it."""

    name: str
    promise: str
    run: Callable[[Subject], Answer]
    last: bool = False  # slow, and of no use while anything else is broken


@dataclass(frozen=True)
class Verdict:
    """The result of one check; ``finding`` where it is broken, ``reason`` where it could not be made."""

    check: Check[Any]
    finding: Finding | None = None
    reason: str = ""

    @property
    def state(self) -> Literal["ok", "broken", "not checked"]:
        if self.finding:
            return "broken"
        return "not checked" if self.reason else "ok"


def examine(case: Case) -> Iterator[Verdict]:
    """Make every check of a method; the slow ones only where all others are ok."""
    yield from verdicts(CHECKS, case)


def verdicts(checks: Iterable[Check[Subject]], subject: Subject) -> Iterator[Verdict]:
    """Make checks in turn; those that are ``last`` only where all others are ok."""
    broken = False
    for check in checks:
        answer = "mend what is broken first" if check.last and broken else check.run(subject)
        broken = broken or isinstance(answer, Finding)
        yield Verdict(check, answer) if isinstance(answer, Finding) else Verdict(check, reason=answer or "")


def parameters(case: Case) -> Answer:
    """Check that nonsense is refused."""
    return parameter_violation(case.name, case.params)


def phases(case: Case) -> Answer:
    """Check the phases of recipes of several lengths."""
    if "phases" in case.training.findings:
        return case.training.findings["phases"]
    with as_rank_0():
        return phase_violation(case.make())


def in_training(name: str) -> Callable[[Case], Answer]:
    """Check that a short training found nothing of the kind ``name``."""

    def run(case: Case) -> Answer:
        if name in case.training.findings:
            return case.training.findings[name]
        if name == "memory" and "instances" in case.training.findings:
            return "it decides otherwise every time"
        return ENDED if case.training.ended else None

    return run


def baseline_params(case: Case) -> Answer:
    """Check that it trains like the baseline with its baseline_params."""
    if case.baseline_params is None:
        return "it declares no baseline_params"
    if case.training.ended:
        return ENDED
    params = ", ".join(f"{key}={value!r}" for key, value in case.baseline_params.items())
    try:
        records, base_records = case.baseline_params_training, case.baseline_training
    except Exception as error:
        text = error.message if isinstance(error, KBenchError) else f"{type(error).__name__}: {error}"
        do = "mend it, or baseline_params = None"
        return Finding(check="baseline-params", what=f"it does not train: {text}", where=params, do=do)
    do = "make it do nothing with these parameters, or declare others"
    if len(records) != len(base_records):
        what = f"it trains {len(records)} epochs where the baseline trains {len(base_records)}"
        return Finding(check="baseline-params", what=what, where=params, do=do)
    for record, base in zip(records, base_records, strict=True):
        what = _difference(record, base)
        if what:
            return Finding(check="baseline-params", what=what, where=f"{params}, epoch {record.epoch}", do=do)
    return None


def _difference(record: EpochRecord, base: EpochRecord) -> str:
    for key in ("n_trained", "n_hidden", "n_dropped"):
        if getattr(record, key) != getattr(base, key):
            return f"{key} is {getattr(record, key)} where the baseline's is {getattr(base, key)}"
    for what, a, b in (
        ("learning rate", record.lr * record.lr_scale, base.lr * base.lr_scale),
        ("training loss", record.train_loss, base.train_loss),
        ("validation loss", record.val_loss or math.nan, base.val_loss or math.nan),
    ):
        if not math.isclose(a, b, rel_tol=ROUNDING * 10 ** min(record.epoch, 2)):  # training amplifies it
            return f"the {what} is {a:.6g} where the baseline's is {b:.6g}"
    return ""


def ids(case: Case) -> Answer:
    """Check plans of many samples."""
    if case.training.ended:
        return ENDED
    return _id_answer(lambda: next(filter(None, (id_precision_violation(case.make, n) for n in MANY)), None))


def ids_beyond_float32(case: Case) -> Answer:
    """Check one plan of more samples than float32 can count."""
    return _id_answer(lambda: plan_agreement_violation(case.make, BEYOND_FLOAT32))


def _id_answer(check: Callable[[], Finding | None]) -> Finding | None:
    with as_rank_0():
        try:
            return check()
        except Exception as error:
            what = f"plan raised {type(error).__name__}: {error}"
            return Finding(check="ids", what=what, where="many samples", do="plan for any number of samples")


def same_plan(case: Case) -> Answer:
    """Check that real ranks agreed on their plans."""
    several = [ranks for ranks in case.ranks if ranks > 1]
    for ranks in several:
        outcome = case.on_ranks(ranks)
        if outcome.error and outcome.error.startswith(SAME_PLAN):
            return _rank_finding("same-plan", outcome, ranks)
    return None if several else "more than one rank was not asked for"


def ranks(case: Case) -> Answer:
    """Check how runs on real ranks ended, if not by differing plans."""
    for size in case.ranks:
        outcome = case.on_ranks(size)
        if outcome.error and not outcome.error.startswith(SAME_PLAN):
            return _rank_finding("ranks", outcome, size)
        if outcome.error:
            return "its ranks plan differently"
    return None


def _rank_finding(check: str, outcome: Outcome, size: int) -> Finding:
    return Finding(check=check, what=outcome.error or "", where=f"{size} rank{'s' * (size > 1)}", do=outcome.hint)


CHECKS = (
    Check("parameters", "refuses parameters of a wrong type or out of range", parameters),
    Check("phases", "has well-formed phases, the last of which counts", phases),
    Check("life", "lives through a short training", in_training("life")),
    Check("plans", "plans ids of the data set, finite weights and at least one full batch", in_training("plans")),
    Check("choices", "selects with one weight per candidate, a Resample or None", in_training("choices")),
    Check("statistics", "leaves statistics and batches as they were shown", in_training("statistics")),
    Check("streams", "leaves the random streams of others alone", in_training("streams")),
    Check("model", "leaves weights and BatchNorm untouched", in_training("model")),
    Check("instances", "decides the same in a second instance", in_training("instances")),
    Check("memory", "decides the same from what a checkpoint holds", in_training("memory")),
    Check("baseline-params", "trains like the baseline when told to do nothing", baseline_params),
    Check("ids", "keeps sample ids whole", ids),
    Check("ids-beyond-2^24", "keeps sample ids whole beyond what float32 counts", ids_beyond_float32, last=True),
    Check("same-plan", "makes the same plan on every rank", same_plan, last=True),
    Check("ranks", "trains on real ranks, and ends with equal weights", ranks, last=True),
)
