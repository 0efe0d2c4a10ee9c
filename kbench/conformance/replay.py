"""Repeat to another instance of a method what the first was shown and answered, and compare what they decide."""

import dataclasses
import io
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from kbench.engine.runtime.guard import Guarded
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Outputs, Probe, Resample, SampleStats, Strategy

T = TypeVar("T")


def copied(thing: T) -> T:
    """The same thing (a dataclass) with its tensors copied."""
    fields = {name: value.clone() for name, value in _fields(thing).items() if isinstance(value, Tensor)}
    return dataclasses.replace(thing, **fields)  # type: ignore[type-var]


def changed(thing: object, copy: object) -> list[str]:
    """The names of the fields in which a copy is not what was copied."""
    return [name for name, value in _fields(thing).items() if not same(value, getattr(copy, name))]


def same(a: object, b: object) -> bool:
    """Whether two answers are equal, to the last bit."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        return not changed(a, b)
    return a == b


def _fields(thing: object) -> dict[str, Any]:
    own: Any = thing  # a dataclass
    return {field.name: getattr(own, field.name) for field in dataclasses.fields(own)}


def through_a_file(past: Mapping[str, Any]) -> dict[str, Any]:
    """Write a strategy's state as a checkpoint does, and read it as one is read."""
    file = io.BytesIO()
    torch.save(dict(past), file)
    file.seek(0)
    back: dict[str, Any] = torch.load(file, weights_only=True)
    return back


def unsaved(past: Mapping[str, Any]) -> list[str]:
    """The fields that no checkpoint can hold, each with the type of what is in it."""
    found = []
    for name, value in past.items():
        try:
            through_a_file({name: value})
        except Exception:  # pickle and torch raise whatever they like
            found.append(f"{name} (of type {type(value).__name__})")
    return found


class Diverged(Exception):
    """Another instance asked for something else than the first one did."""


class RecordingProbe(Probe):
    """A probe that passes requests on and records the answers."""

    def __init__(self, probe: Probe) -> None:
        self.probe, self.epoch = probe, probe.epoch
        self.answers: list[tuple[str, Any, Any]] = []  # request, its argument, answer

    def measure(self, batch: Batch) -> Measured:
        measured = self.probe.measure(batch)
        self.answers.append(("measure", batch.index.clone(), copied(measured)))
        return measured

    def outputs(self, batch: Batch) -> Outputs:
        outputs = self.probe.outputs(batch)
        self.answers.append(("outputs", batch.index.clone(), copied(outputs)))
        return outputs

    def uniform(self, n: int) -> Tensor:
        drawn = self.probe.uniform(n)
        self.answers.append(("uniform", torch.tensor([n]), drawn.clone()))
        return drawn

    def mean(self, number: Tensor) -> float:
        mean = self.probe.mean(number)
        self.answers.append(("mean", number.detach().clone().flatten(), mean))
        return mean

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        self.probe.in_background(work, then, lag=lag)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.probe, name)  # a method may reach for more than the contract offers


class ReplayingProbe(Probe):
    """A probe that gives the recorded answers once more, as long as the requests are the same."""

    def __init__(self, recorder: RecordingProbe, epoch: Epoch, background: "BackgroundReplay") -> None:
        self._recorder, self.epoch, self._background = recorder, epoch, background
        self._left = deque(recorder.answers)

    def measure(self, batch: Batch) -> Measured:
        measured: Measured = self._next("measure", batch.index)
        return copied(measured)

    def outputs(self, batch: Batch) -> Outputs:
        outputs: Outputs = self._next("outputs", batch.index)
        return copied(outputs)

    def uniform(self, n: int) -> Tensor:
        drawn: Tensor = self._next("uniform", torch.tensor([n])).clone()
        return drawn

    def mean(self, number: Tensor) -> float:
        return float(self._next("mean", number.flatten()))

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        self._background.give(work, then, lag=lag)

    def _next(self, request: str, argument: Tensor) -> Any:
        if not self._left or self._left[0][0] != request or not torch.equal(self._left[0][1], argument):
            raise Diverged(f"it asked for probe.{request} where the first did not, or with something else")
        return self._left.popleft()[2]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)


class BackgroundReplay:
    """Background work of a replayed instance: done at once, its result handed over when it is due."""

    def __init__(self) -> None:
        self._open: deque[tuple[Any, Callable[[Any], None]]] = deque()

    def give(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        """Do ``work``; hand over what is ``lag`` works old."""
        with torch.no_grad():
            self._open.append((work(), then))
        self.settle(left=lag)

    def settle(self, *, left: int = 0) -> None:
        """Hand over all but the last ``left`` works."""
        while len(self._open) > left:
            result, then = self._open.popleft()
            then(result)


class WatchedInstance(Guarded):
    """An instance of a method whose moves of the global random streams are undone and counted."""

    def __init__(self, strategy: Strategy) -> None:
        super().__init__(strategy, torch.device("cpu"))

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        try:
            return super().select(batch, probe)
        finally:
            self.close_epoch()

    def observe(self, batch: Batch, measured: Measured) -> None:
        super().observe(batch, measured)
        self.close_epoch()

    def moved_streams(self) -> list[str]:
        """The libraries whose streams were moved since the last call."""
        moved, self.disturbed = list(self.disturbed), {}
        return [entry.partition(" in ")[0] for entry in moved]


class ReplayedInstance(WatchedInstance):
    """An instance that is shown what the deciding one was shown, with the same answers of the probe."""

    def __init__(self, strategy: Strategy) -> None:
        super().__init__(strategy)
        self.background = BackgroundReplay()

    def plan_again(self, epoch: Epoch, stats: SampleStats, rng_state: Tensor) -> EpochPlan:
        """Plan with the epoch's generator in the state ``rng_state``."""
        self._epoch = dataclasses.replace(epoch, rng=torch.Generator().set_state(rng_state))
        return self.plan(self._epoch, copied(stats))

    def select_again(self, batch: Batch, recorder: RecordingProbe) -> Tensor | Resample | None:
        """Select with the answers that were recorded."""
        return self.select(copied(batch), ReplayingProbe(recorder, self._epoch, self.background))

    def remember_again(self, batch: Batch, outputs: Outputs) -> Tensor:
        return self.remember(copied(batch), copied(outputs))

    def observe_again(self, batch: Batch, measured: Measured) -> None:
        self.observe(copied(batch), copied(measured))
