"""A method in a training, with two more of its instances beside it and every hook looked after."""

import inspect
import traceback
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from kbench.conformance.contract_rules import Finding, Violation, plan_violations, selection_violations
from kbench.conformance.equality import changed, copied, lost, same, through_a_file
from kbench.conformance.replay import Echo, Instance, Recorder
from kbench.engine.learner import Learner
from kbench.engine.probe import ModelProbe
from kbench.strategies.api import (
    Batch,
    Epoch,
    EpochPlan,
    Measured,
    Phase,
    Probe,
    Resample,
    SampleStats,
    Strategy,
    load_state_dict,
    state_dict,
)


class ModelWatch:
    """Knows the model from the last probe that passed by."""

    def __init__(self) -> None:
        self._learner: Learner | None = None
        self._before: dict[str, Tensor] = {}

    def meet(self, probe: Probe) -> None:
        """Learn which model is in training."""
        if isinstance(probe, ModelProbe):
            self._learner = probe.learner

    def begin(self) -> None:
        """Note the model as it is."""
        self._before = {name: value.clone() for name, value in self._state().items()}

    def moved(self) -> list[str]:
        """The weights and buffers that are not what they were; they are put back."""
        state = self._state()
        names = [name for name, value in self._before.items() if not torch.equal(state[name], value)]
        with torch.no_grad():
            for name in names:
                state[name].copy_(self._before[name])
        return names

    def _state(self) -> dict[str, Tensor]:
        return dict(self._learner.module.state_dict()) if self._learner else {}


T = TypeVar("T")
Note = Callable[[Finding], None]

OTHERS = {
    "instances": (
        "a second instance, asked and told the same, decides otherwise",
        "draw only from epoch.uniform and probe.uniform, and keep nothing outside the instance",
    ),
    "memory": (
        "an instance that was given back what is remembered decides otherwise",
        "keep all that later decisions depend on in fields made with memory(), as tensors, numbers, text or None",
    ),
}


class ContractViolation(Exception):
    """The method cannot go on; what it did is noted."""


class Monitor(Strategy):
    """Decides as the method does, and notes what it breaks.

    One instance decides.  A second one lives the same life from its beginning, and a third is made
    anew before every epoch from what the first remembers, as after a checkpoint; both must decide
    the same.  An answer that the loop could not use is noted, and the baseline's takes its place.
    """

    def __init__(self, make: Callable[[], Strategy], note: Note, *, global_batch: int) -> None:
        self._make, self._note, self._global_batch = make, note, global_batch
        self._first = Instance(make())
        self._others = {"instances": Echo(make())}
        self._remindable = True
        self._model = ModelWatch()
        self._place = "before the first epoch"
        self._epochs = 0

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        self._epochs = epochs
        try:
            for other in self._others.values():
                other.strategy.phases(epochs)
            return self._first.strategy.phases(epochs)
        except Exception as error:
            self._tell("phases", f"phases raised {self._told(error)}", "phases", "mend it")
            raise ContractViolation from error

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self._place = f"epoch {epoch.index} of phase {epoch.phase}"
        for other in self._others.values():
            other.aside.settle()
        self._remind()
        rng, shown = epoch.rng.get_state(), copied(stats)
        plan = self._watched("plan", lambda: self._first.plan(epoch, shown), (stats, shown))
        again = self._again("plan", lambda other: other.plan_again(epoch, stats, rng))
        if self._sound("plans", "plan", list(plan_violations(plan, epoch, global_batch=self._global_batch))):
            self._compare("plan", plan, again)
            return plan
        return EpochPlan(epoch.all_ids)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        self._model.meet(probe)
        recorder, shown = Recorder(probe), copied(batch)
        kept = self._watched("select", lambda: self._first.select(shown, recorder), (batch, shown))
        again = self._again("select", lambda other: other.select_again(batch, recorder))
        if self._sound("choices", "select", list(selection_violations(kept, batch))):
            self._compare("select", kept, again)
            return kept
        return None

    def observe(self, batch: Batch, measured: Measured) -> None:
        ours, theirs = copied(batch), copied(measured)
        self._watched("observe", lambda: self._first.observe(ours, theirs), (batch, ours), (measured, theirs))
        again = self._again("observe", lambda other: other.observe_again(batch, measured))
        self._compare("observe", None, again)

    def _watched(self, hook: str, call: Callable[[], T], *shown: tuple[object, object]) -> T:
        """Call a hook of the deciding instance, and look at all that it must leave alone."""
        self._model.begin()
        try:
            answer = call()
        except Exception as error:
            self._tell("life", f"{hook} raised {self._told(error)}", hook, "mend it")
            raise ContractViolation from error
        for thing, copy in shown:
            for field in changed(thing, copy):
                what = f"changed {type(thing).__name__}.{field}, which it was only shown"
                self._tell("statistics", what, hook, "clone what you want to change")
        for library in self._first.streams():
            do = "draw from epoch.uniform or probe.uniform; leave the global generators alone"
            self._tell("streams", f"moved the global random stream of {library}", hook, do)
        names = self._model.moved()
        if names:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            do = "look at the model with probe.measure: evaluation mode, no graph"
            self._tell("model", f"changed {names[0]}{more} of the model in training", hook, do)
        return answer

    def _again(self, hook: str, call: Callable[[Echo], object]) -> dict[str, object]:
        """What the other instances answer; one that cannot answer is noted and leaves."""
        answers: dict[str, object] = {}
        for name, other in list(self._others.items()):
            try:
                answers[name] = call(other)
            except Exception as error:
                self._differs(name, hook, f": it raised {self._told(error)}")
        return answers

    def _compare(self, hook: str, answer: object, again: dict[str, object]) -> None:
        for name in OTHERS:
            if name in again and name in self._others and not same(answer, again[name]):
                self._differs(name, hook, "")

    def _differs(self, name: str, hook: str, how: str) -> None:
        what, do = OTHERS[name]
        self._tell(name, what + how, hook, do)
        self._remindable = False
        self._others.pop(name, None)
        if name == "instances":  # whoever never decides the same twice cannot do so from memory
            self._others.clear()

    def _remind(self) -> None:
        """Make the third instance anew from what the first remembers."""
        self._others.pop("memory", None)
        past = state_dict(self._first.strategy)
        gone = lost(past) if self._remindable else []
        if gone:
            self._remindable = False
            what = f"a checkpoint cannot hold the memory {', '.join(gone)}"
            self._tell("memory", what, "remembered", "remember tensors, numbers, text or None")
        if self._remindable:
            fresh = self._make()
            fresh.phases(self._epochs)
            load_state_dict(fresh, through_a_file(past))
            self._others["memory"] = Echo(fresh)

    def _sound(self, check: str, hook: str, breaches: list[Violation]) -> bool:
        for breach in breaches:
            self._tell(check, breach.what, hook, breach.do)
        return not breaches

    def _tell(self, check: str, what: str, hook: str, do: str) -> None:
        self._note(Finding(check=check, what=what, where=f"{hook}, {self._place}", do=do))

    def _told(self, error: Exception) -> str:
        """The error, and the last line of the method's own file that led to it."""
        frames = traceback.extract_tb(error.__traceback__)
        own = inspect.getfile(type(self._first.strategy))
        frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
        return f"{type(error).__name__}: {str(error) or 'no message'}, {frame.filename}:{frame.lineno}"
