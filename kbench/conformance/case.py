"""A method under examination, and what was seen of it."""

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kbench.conformance.finding import Finding
from kbench.conformance.life import GLOBAL_BATCH, PAIR, RECIPE, live
from kbench.conformance.ranks import Ended, start
from kbench.conformance.witness import Unfit, Witness
from kbench.errors import ConfigError, KBenchError
from kbench.records.schema import EpochRecord
from kbench.spec.choice import Choice
from kbench.spec.experiment import Pair
from kbench.spec.run import RunSpec
from kbench.strategies import load
from kbench.strategies.api import Strategy

ON_TRIAL = "kbench.conformance.on_trial:OnTrial"
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
            self.inert = self.make().inert
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
            live(Witness(self.make, seen.note, global_batch=GLOBAL_BATCH))
        except Unfit:
            seen.ended = True
        except Exception as error:  # whatever a method made the loop stumble over
            told = (
                error if isinstance(error, KBenchError) else KBenchError(f"{type(error).__name__}: {error}", hint=ASKED)
            )
            seen.note(Finding(check="life", what=told.message, where="the training loop", do=told.hint))
            seen.ended = True
        return seen

    @cached_property
    def inert_life(self) -> list[EpochRecord]:
        """The last phase of a training with the inert parameters."""
        return _last_phase(live(load(self.name, self.params | dict(self.inert or {}))))

    @cached_property
    def baseline_life(self) -> list[EpochRecord]:
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
