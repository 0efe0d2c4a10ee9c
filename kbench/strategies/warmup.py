"""A schedule around another strategy: everything first, everything last, or everything in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kbench.config.value_types import Count, Name, Natural, Probability
from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import (
    Batch,
    Epoch,
    EpochCost,
    EpochPlan,
    Measured,
    Outputs,
    Phase,
    Probe,
    Resample,
    SampleStats,
    Strategy,
    TrainingSetup,
    share_of,
    state,
)


@dataclass
class Warmup(Strategy):
    """Trains on everything for ``epochs`` epochs, then as the strategy ``then`` says: ``then: kakurenbo``,
    or ``then: {kakurenbo: {fraction: 0.2}}`` with parameters.

    After ``int(until * epochs of the recipe)`` epochs it trains on everything again (annealing); with ``every`` above 1
    only each ``every``-th of the epochs in between is the other's (a volume that oscillates).  The other strategy
    sees the statistics of all epochs and the epoch's own number; in epochs that are not its own it is not asked, and
    shown nothing.  Its phases before the last, as FORGET's scoring, are its own from their first epoch.
    Source: ours.  Schedules around a selection are parts of many methods: InfoBatch anneals (arXiv:2303.04947), SeTa
    anneals in part (arXiv:2503.13385), GradMatch and CRAIG begin warm (CORDS).
    """

    baseline_params = {"then": "baseline"}

    then: Name | dict[str, dict[str, Any]]
    epochs: Natural = 5
    until: Probability = 1.0
    every: Count = 1

    own: bool = state(False)  # whether this epoch is the other's

    def __post_init__(self) -> None:
        entry = {self.then: {}} if isinstance(self.then, str) else self.then
        if len(entry) != 1:
            raise ValueError(f"then must name one strategy, as in then: kakurenbo, got {len(entry)}")
        self._name, params = next(iter(entry.items()))
        if params.get("like") is not None:
            raise ValueError(f"then: {self._name} cannot copy another run within a schedule: leave out like")
        try:
            self.inner = load(self._name, params)
        except ConfigError as error:
            raise ValueError(f"then: {error}") from error
        self.n_bytes_per_sample = self.inner.n_bytes_per_sample
        self.takes_mixed = self.inner.takes_mixed

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        for parameter, text in self._inner.problems(setup):
            yield "then", f"{parameter + ': ' if parameter else ''}{text}"
        if self.epochs >= setup.epochs:
            yield "epochs", f"of the recipe's {setup.epochs} leave none for {self._name}"

    def follow(self, past: Sequence[EpochCost]) -> None:
        self._inner.follow(past)

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return self._inner.phases(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        warm = self.epochs <= epoch.index < share_of(epoch.epochs, self.until)
        self.own = epoch.phase != "train" or (warm and (epoch.index - self.epochs) % self.every == 0)
        return self._inner.plan(epoch, stats) if self.own else EpochPlan(epoch.all_ids)

    def memory_width(self, n_classes: int, n_features: int) -> int:
        return self._inner.memory_width(n_classes, n_features)

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        return self._inner.remember(batch, outputs)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        return self._inner.select(batch, probe) if self.own else None

    def observe(self, batch: Batch, measured: Measured) -> None:
        if self.own:
            self._inner.observe(batch, measured)

    @property
    def _inner(self) -> Strategy:
        assert self.inner is not None
        return self.inner
