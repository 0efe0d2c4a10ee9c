"""Watch a method in a training: what it answers, what it changes, and whether other instances decide the same."""

import inspect
import math
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from kbench.conformance.replay import (
    RecordingProbe,
    ReplayedInstance,
    WatchedInstance,
    changed,
    copied,
    same,
    through_a_file,
    unsaved,
)
from kbench.engine.learner import Learner
from kbench.engine.probe import ModelProbe
from kbench.strategies.api import (
    AsCoded,
    Batch,
    Epoch,
    EpochPlan,
    Measured,
    Outputs,
    Phase,
    Probe,
    Resample,
    SampleStats,
    Strategy,
    load_state_dict,
    state_dict,
)


@dataclass(frozen=True)
class Finding:
    """A broken check: which, what was seen, where, and what to do about it."""

    check: str
    what: str
    where: str
    do: str

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return f"{self.what} ({self.where}); {self.do}"


class Violation(NamedTuple):
    """What is wrong with an answer, and what to do."""

    what: str
    do: str


def plan_violations(plan: object, epoch: Epoch, *, global_batch: int) -> Iterator[Violation]:
    """Yield everything that is wrong with what ``plan`` returned."""
    if not isinstance(plan, EpochPlan):
        yield Violation(f"plan returned {_kind(plan)}", "return an EpochPlan")
        return
    yield from id_violations(plan.indices, "indices", epoch)
    if isinstance(plan.indices, Tensor) and plan.indices.numel() < global_batch:
        what = f"{plan.indices.numel()} samples were planned, fewer than one global batch of {global_batch}"
        yield Violation(what, "plan at least one full global batch")
    if plan.refresh is not None:
        yield from id_violations(plan.refresh, "refresh", epoch)
    if plan.weights is not None:
        yield from _weight_violations(plan.weights, "weights", (epoch.n_samples,), epoch.device)
    yield from _number_violations(plan)


def id_violations(ids: object, name: str, epoch: Epoch) -> Iterator[Violation]:
    """Yield what is wrong with a tensor of sample ids, which must be (n,) int64 on the epoch's device."""
    if not isinstance(ids, Tensor) or ids.dtype != torch.int64 or ids.ndim != 1:
        yield Violation(f"{name} is {_kind(ids)}", "give sample ids as a tensor of int64 of one dimension")
        return
    if ids.device.type != epoch.device.type:
        yield Violation(f"{name} lies on {ids.device}", "plan on epoch.device")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < epoch.n_samples:
        what = f"{name} holds ids from {int(ids.min())} to {int(ids.max())} of {epoch.n_samples} samples"
        yield Violation(what, f"keep ids within 0 and {epoch.n_samples - 1}; never let them pass through floats")


def selection_violations(selection: object, batch: Batch) -> Iterator[Violation]:
    """Yield everything that is wrong with what ``select`` returned for ``batch``."""
    if selection is None:
        return
    if isinstance(selection, Resample):
        yield from _resample_violations(selection, batch)
    elif isinstance(selection, Tensor):
        yield from _weight_violations(selection, "what select returned", (len(batch),), batch.x.device)
    else:
        what = f"select returned {_kind(selection)}"
        yield Violation(what, "return a tensor of weights, a Resample, or None to keep all")


def _resample_violations(resample: Resample, batch: Batch) -> Iterator[Violation]:
    rows = resample.rows
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1:
        yield Violation(
            f"the rows of the Resample are {_kind(rows)}", "give places in the batch as int64 of one dimension"
        )
        return
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(batch):
        what = f"the Resample holds rows from {int(rows.min())} to {int(rows.max())} of a batch of {len(batch)}"
        yield Violation(what, "rows are places in the batch, no sample ids")
    yield from _weight_violations(resample.weight, "the weight of the Resample", (len(rows),), batch.x.device)


def _weight_violations(weights: object, name: str, shape: tuple[int, ...], device: torch.device) -> Iterator[Violation]:
    if not isinstance(weights, Tensor) or tuple(weights.shape) != shape or weights.dtype != torch.float32:
        yield Violation(f"{name} is {_kind(weights)}", f"give one float32 weight for each of {shape[0]} samples")
        return
    if weights.device.type != device.type:
        yield Violation(f"{name} lies on {weights.device}", f"leave it on {device}")
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        yield Violation(f"{name} holds weights that are negative or not finite", "weights are finite and at least 0")
    if weights.requires_grad:
        yield Violation(f"{name} carries a graph", "detach it, or compute it under torch.no_grad()")


def memory_violations(rows: object, shape: tuple[int, int]) -> Iterator[Violation]:
    """Yield everything that is wrong with what ``remember`` returned, of a batch and a width."""
    if not isinstance(rows, Tensor) or tuple(rows.shape) != shape or rows.dtype != torch.float32:
        yield Violation(f"remember returned {_kind(rows)}", f"return float32 of shape {shape}, as memory_width says")
    elif not bool(torch.isfinite(rows).all()):
        yield Violation("remember returned numbers that are not finite", "remember finite numbers")


def _number_violations(plan: EpochPlan) -> Iterator[Violation]:
    if not math.isfinite(plan.lr_scale) or plan.lr_scale <= 0:
        yield Violation(f"lr_scale is {plan.lr_scale}", "scale the learning rate by a finite number above 0")
    if plan.candidate_batches < 1:
        yield Violation(
            f"candidate_batches is {plan.candidate_batches!r}", "let select see at least one global batch at a time"
        )
    if plan.ceiling is not None and not 0 <= plan.ceiling <= 1:
        yield Violation(f"ceiling is {plan.ceiling}", "give the largest share that may be hidden, in [0, 1]")
    if plan.image_size is not None and plan.image_size < 1:
        yield Violation(f"image_size is {plan.image_size}", "give a side in pixels, or None for the recipe's")
    if plan.repeats < 1:
        yield Violation(f"repeats is {plan.repeats}", "train on each batch at least once")
    as_coded: object = plan.as_coded
    if not isinstance(as_coded, AsCoded):
        yield Violation(f"as_coded is {_kind(as_coded)}", "give an AsCoded, or leave it out")


def _kind(thing: object) -> str:
    if isinstance(thing, Tensor):
        return f"a tensor of {str(thing.dtype).removeprefix('torch.')} of shape {tuple(thing.shape)}"
    return f"of type {type(thing).__name__}"


class ModelWatch:
    """Finds changes of the model in training, which it knows from the last probe."""

    def __init__(self) -> None:
        self._learner: Learner | None = None
        self._before: dict[str, Tensor] = {}

    def learn_model(self, probe: Probe) -> None:
        """Take the model in training from a probe."""
        if isinstance(probe, ModelProbe):
            self._learner = probe.learner

    def snapshot(self) -> None:
        """Copy the model as it is."""
        self._before = {name: value.clone() for name, value in self._state().items()}

    def restore_changed(self) -> list[str]:
        """Set weights and buffers back to the snapshot; returns the names of those that had changed."""
        state = self._state()
        names = [name for name, value in self._before.items() if not torch.equal(state[name], value)]
        with torch.no_grad():
            for name in names:
                state[name].copy_(self._before[name])
        return names

    def _state(self) -> dict[str, Tensor]:
        return dict(self._learner.module.state_dict()) if self._learner else {}


T = TypeVar("T")
Report = Callable[[Finding], None]

OTHERS = {  # instances beside the deciding one: what is wrong where one decides otherwise, and what to do
    "instances": (
        "a second instance, asked and told the same, decides otherwise",
        "draw only from epoch.uniform and probe.uniform, and keep nothing outside the instance",
    ),
    "memory": (
        "an instance that was given the state of a checkpoint decides otherwise",
        "keep all that later decisions depend on in fields made with state(), as tensors, numbers, text or None",
    ),
}


class ContractViolation(Exception):
    """The method cannot go on; what it did was reported."""


class Monitor(Strategy):
    """Decides as the method does, and reports what it breaks.

    One instance decides.  A second one is given the same from the beginning of the run, and a third is built
    anew before every epoch from the state of the first, as after a checkpoint; both must decide
    the same.  An answer that the loop could not use is reported, and the baseline's takes its place.
    """

    def __init__(self, make: Callable[[], Strategy], report: Report, *, global_batch: int) -> None:
        self._make, self._report, self._global_batch = make, report, global_batch
        self._first = WatchedInstance(make())
        self._others = {"instances": ReplayedInstance(make())}
        self._restorable = True  # whether a third instance can still be built from the state of the first
        self._model = ModelWatch()
        self._place = "before the first epoch"
        self._epochs = self._width = 0

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        self._epochs = epochs
        try:
            for other in self._others.values():
                other.strategy.phases(epochs)
            return self._first.strategy.phases(epochs)
        except Exception as error:
            self._broken("phases", f"phases raised {self._error_text(error)}", "phases", "mend it")
            raise ContractViolation from error

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self._place = f"epoch {epoch.index} of phase {epoch.phase}"
        for other in self._others.values():
            other.background.settle()
        self._restore_from_state()
        rng_state, shown = epoch.rng.get_state(), copied(stats)
        plan = self._watched("plan", lambda: self._first.plan(epoch, shown), (stats, shown))
        again = self._replayed("plan", lambda other: other.plan_again(epoch, stats, rng_state))
        if self._sound("plans", "plan", list(plan_violations(plan, epoch, global_batch=self._global_batch))):
            self._compare("plan", plan, again)
            return plan
        return EpochPlan(epoch.all_ids)

    def memory_width(self, n_classes: int, n_features: int) -> int:
        self._width = self._first.strategy.memory_width(n_classes, n_features)
        return self._width

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        batch_shown, outputs_shown = copied(batch), copied(outputs)
        shown = (batch, batch_shown), (outputs, outputs_shown)
        rows = self._watched("remember", lambda: self._first.remember(batch_shown, outputs_shown), *shown)
        again = self._replayed("remember", lambda other: other.remember_again(batch, outputs))
        if self._sound("choices", "remember", list(memory_violations(rows, (len(batch), self._width)))):
            self._compare("remember", rows, again)
            return rows
        return torch.zeros(len(batch), self._width, device=batch.x.device)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        self._model.learn_model(probe)
        recorder, shown = RecordingProbe(probe), copied(batch)
        selection = self._watched("select", lambda: self._first.select(shown, recorder), (batch, shown))
        again = self._replayed("select", lambda other: other.select_again(batch, recorder))
        if self._sound("choices", "select", list(selection_violations(selection, batch))):
            self._compare("select", selection, again)
            return selection
        return None

    def observe(self, batch: Batch, measured: Measured) -> None:
        batch_shown, measured_shown = copied(batch), copied(measured)
        shown = (batch, batch_shown), (measured, measured_shown)
        self._watched("observe", lambda: self._first.observe(batch_shown, measured_shown), *shown)
        again = self._replayed("observe", lambda other: other.observe_again(batch, measured))
        self._compare("observe", None, again)

    def _watched(self, hook: str, call: Callable[[], T], *shown: tuple[object, object]) -> T:
        """Call a hook of the deciding instance, and report what it changed that it must leave alone."""
        self._model.snapshot()
        try:
            answer = call()
        except Exception as error:
            self._broken("life", f"{hook} raised {self._error_text(error)}", hook, "mend it")
            raise ContractViolation from error
        for thing, copy in shown:
            for field in changed(thing, copy):
                what = f"changed {type(thing).__name__}.{field}, which it was only shown"
                self._broken("statistics", what, hook, "clone what you want to change")
        for library in self._first.moved_streams():
            do = "draw from epoch.uniform or probe.uniform; leave the global generators alone"
            self._broken("streams", f"moved the global random stream of {library}", hook, do)
        names = self._model.restore_changed()
        if names:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            do = "look at the model with probe.measure: evaluation mode, no graph"
            self._broken("model", f"changed {names[0]}{more} of the model in training", hook, do)
        return answer

    def _replayed(self, hook: str, call: Callable[[ReplayedInstance], object]) -> dict[str, object]:
        """The answers of the other instances; one that raises is reported and left out from then on."""
        answers: dict[str, object] = {}
        for name, other in list(self._others.items()):
            try:
                answers[name] = call(other)
            except Exception as error:
                self._differs(name, hook, f": it raised {self._error_text(error)}")
        return answers

    def _compare(self, hook: str, answer: object, again: dict[str, object]) -> None:
        for name in OTHERS:
            if name in again and name in self._others and not same(answer, again[name]):
                self._differs(name, hook, "")

    def _differs(self, name: str, hook: str, how: str) -> None:
        what, do = OTHERS[name]
        self._broken(name, what + how, hook, do)
        self._restorable = False
        self._others.pop(name, None)
        if name == "instances":  # what never decides the same twice cannot do so from its state
            self._others.clear()

    def _restore_from_state(self) -> None:
        """Build the third instance anew from the state of the first."""
        self._others.pop("memory", None)
        past = state_dict(self._first.strategy)
        unsaved_fields = unsaved(past) if self._restorable else []
        if unsaved_fields:
            self._restorable = False
            what = f"a checkpoint cannot hold the state {', '.join(unsaved_fields)}"
            self._broken("memory", what, "state", "hold tensors, numbers, text or None in it")
        if self._restorable:
            fresh = self._make()
            fresh.phases(self._epochs)
            load_state_dict(fresh, through_a_file(past))
            self._others["memory"] = ReplayedInstance(fresh)

    def _sound(self, check: str, hook: str, violations: list[Violation]) -> bool:
        for violation in violations:
            self._broken(check, violation.what, hook, violation.do)
        return not violations

    def _broken(self, check: str, what: str, hook: str, do: str) -> None:
        self._report(Finding(check=check, what=what, where=f"{hook}, {self._place}", do=do))

    def _error_text(self, error: Exception) -> str:
        """The error, and the last line of the method's own file that led to it."""
        frames = traceback.extract_tb(error.__traceback__)
        own = inspect.getfile(type(self._first.strategy))
        frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
        return f"{type(error).__name__}: {str(error) or 'no message'}, {frame.filename}:{frame.lineno}"
