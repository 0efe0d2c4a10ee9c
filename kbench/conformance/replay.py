"""What one instance of a method was answered while it selected, told once more to another instance."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kbench.conformance.equality import copied
from kbench.engine.runtime.guard import Guarded
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Probe, Resample, SampleStats, Strategy


class Diverged(Exception):
    """Another instance asked for something else than the first one did."""


class Recorder(Probe):
    """A probe that passes requests on and keeps the answers."""

    def __init__(self, probe: Probe) -> None:
        self.probe, self.epoch = probe, probe.epoch
        self.told: list[tuple[str, Any, Any]] = []  # request, with what, answer

    def measure(self, batch: Batch) -> Measured:
        measured = self.probe.measure(batch)
        self.told.append(("measure", batch.index.clone(), copied(measured)))
        return measured

    def uniform(self, n: int) -> Tensor:
        drawn = self.probe.uniform(n)
        self.told.append(("uniform", torch.tensor([n]), drawn.clone()))
        return drawn

    def mean(self, number: Tensor) -> float:
        mean = self.probe.mean(number)
        self.told.append(("mean", number.detach().clone().flatten(), mean))
        return mean

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        self.probe.in_background(work, then, lag=lag)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.probe, name)  # a method may reach for more than the contract offers


class Replayer(Probe):
    """A probe that gives the same answers once more, as long as the same is asked."""

    def __init__(self, recorder: Recorder, epoch: Epoch, aside: "BackgroundReplay") -> None:
        self._recorder, self.epoch, self._aside = recorder, epoch, aside
        self._left = deque(recorder.told)

    def measure(self, batch: Batch) -> Measured:
        measured: Measured = self._next("measure", batch.index)
        return copied(measured)

    def uniform(self, n: int) -> Tensor:
        drawn: Tensor = self._next("uniform", torch.tensor([n])).clone()
        return drawn

    def mean(self, number: Tensor) -> float:
        return float(self._next("mean", number.flatten()))

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        self._aside.give(work, then, lag=lag)

    def _next(self, request: str, asked: Tensor) -> Any:
        if not self._left or self._left[0][0] != request or not torch.equal(self._left[0][1], asked):
            raise Diverged(f"it asked for probe.{request} where the first did not, or with something else")
        return self._left.popleft()[2]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)


class BackgroundReplay:
    """Work beside the training, done at once and handed over when it is due."""

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
            made, then = self._open.popleft()
            then(made)


class Instance:
    """The instance that decides; ``streams`` tells which global streams its last hook moved."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self._guard = Guarded(strategy, torch.device("cpu"))

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return self._guard.plan(epoch, stats)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        try:
            return self._guard.select(batch, probe)
        finally:
            self._guard.close_epoch()

    def observe(self, batch: Batch, measured: Measured) -> None:
        self._guard.observe(batch, measured)
        self._guard.close_epoch()

    def streams(self) -> list[str]:
        """The libraries whose streams were moved since this was last asked."""
        moved, self._guard.disturbed = list(self._guard.disturbed), {}
        return [entry.partition(" in ")[0] for entry in moved]


class Echo(Instance):
    """An instance that is asked what the deciding one was asked, and told what that one was told."""

    def __init__(self, strategy: Strategy) -> None:
        super().__init__(strategy)
        self.aside = BackgroundReplay()

    def plan_again(self, epoch: Epoch, stats: SampleStats, rng: Tensor) -> EpochPlan:
        """Plan with the epoch's generator in the state ``rng``."""
        self._epoch = replace(epoch, rng=torch.Generator().set_state(rng))
        return self.plan(self._epoch, copied(stats))

    def select_again(self, batch: Batch, recorder: Recorder) -> Tensor | Resample | None:
        """Select with the answers that were recorded."""
        return self.select(copied(batch), Replayer(recorder, self._epoch, self.aside))

    def observe_again(self, batch: Batch, measured: Measured) -> None:
        self.observe(copied(batch), copied(measured))
