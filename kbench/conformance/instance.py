"""One instance of a method: its hooks, with everybody's random streams put back after each."""

from dataclasses import replace

import torch
from torch import Tensor

from kbench.conformance.echo import Aside, Recorder, Replayer
from kbench.conformance.shown import copied
from kbench.engine.guard import Guarded
from kbench.strategies.api import Batch, Draw, Epoch, EpochPlan, Measured, Probe, SampleStats, Strategy


class Instance:
    """The instance that decides; ``streams`` tells which global streams its last hook moved."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self._guard = Guarded(strategy, torch.device("cpu"))

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return self._guard.plan(epoch, stats)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Draw | None:
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
        self.aside = Aside()

    def plan_again(self, epoch: Epoch, stats: SampleStats, rng: Tensor) -> EpochPlan:
        """Plan with the epoch's generator in the state ``rng``."""
        self._epoch = replace(epoch, rng=torch.Generator().set_state(rng))
        return self.plan(self._epoch, copied(stats))

    def select_again(self, batch: Batch, recorder: Recorder) -> Tensor | Draw | None:
        """Select with the answers that were recorded."""
        return self.select(copied(batch), Replayer(recorder, self._epoch, self.aside))

    def observe_again(self, batch: Batch, measured: Measured) -> None:
        self.observe(copied(batch), copied(measured))
