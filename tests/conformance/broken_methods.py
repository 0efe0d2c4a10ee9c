"""Methods that each break one promise, and one that keeps them all; loaded by their names, as anybody's are."""

import os
import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kbench.config.value_types import Fraction
from kbench.strategies.api import (
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
    TrainingSetup,
    share_of,
    state,
)
from kbench.strategies.ranking import lowest


@dataclass
class Sound(Strategy):
    """Keeps every promise: two phases, state of both kinds, chance in both hooks, weights, background work."""

    baseline_params = {"share": 0.0}
    share: Fraction = 0.25

    seen: Tensor | None = state()  # (n,) int16 times trained on
    mean: float | None = state()  # of the losses, this rank's own

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return Phase(name="look", epochs=2, horizon=epochs + 2), Phase.train(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if self.seen is None:
            self.seen = torch.zeros(epoch.n_samples, dtype=torch.int16)
        self.seen = self.seen + (stats.age == 0)
        easy = lowest(stats.loss, share_of(epoch.n_samples, self.share)) & (self.seen > 0)
        return EpochPlan.hide(easy & (epoch.uniform(epoch.n_samples) < 0.5))

    def select(self, batch: Batch, probe: Probe) -> Tensor | None:
        if self.share == 0 or probe.epoch.index == 0:
            return None
        loss = probe.measure(batch).loss
        probe.in_background(lambda: float(loss.mean()), self._learn, lag=2)
        floor = 0.0 if self.mean is None else self.mean / 2
        return ((loss > floor) | (probe.uniform(len(batch)) < 0.5)).float()

    def _learn(self, mean: float) -> None:
        self.mean = mean if self.mean is None else 0.9 * self.mean + 0.1 * mean


@dataclass
class ReseedsNumpy(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        np.random.seed(epoch.index)
        return EpochPlan(torch.from_numpy(np.random.permutation(epoch.n_samples)[: epoch.n_samples // 2]))


@dataclass
class ChangesStatistics(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        stats.loss[stats.correct] = 0
        return EpochPlan.hide(lowest(stats.loss, epoch.n_samples // 4))


@dataclass
class ChangesItsBatch(Strategy):
    def observe(self, batch: Batch, measured: Measured) -> None:
        batch.x.zero_()


@dataclass
class PlansByRank(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids[int(os.environ["RANK"]) :])


@dataclass
class MovesBatchNorm(Strategy):
    def select(self, batch: Batch, probe: Any) -> Tensor:
        probe.learner.module.train()
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(probe.learner.module(batch.x), batch.y, reduction="none")
        return (loss >= loss.median()).float()


@dataclass
class HalfPrecisionIds(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids.half().clamp_max(epoch.n_samples - 1).long())


@dataclass
class Float32Ids(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids.float().clamp_max(epoch.n_samples - 1).long().clamp_max(epoch.n_samples - 1))


@dataclass
class EvenIds(Strategy):
    """Sound: every second sample is left out, and no id goes through a float."""

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids[::2])


@dataclass
class DrawsFromTorch(Strategy):
    def select(self, batch: Batch, probe: Probe) -> Tensor:
        return (torch.rand(len(batch)) < 0.8).float()


@dataclass
class DrawsFromRandom(Strategy):
    def select(self, batch: Batch, probe: Probe) -> Tensor:
        return torch.tensor([float(random.random() < 0.8) for _ in range(len(batch))])


@dataclass
class StateOfAGenerator(Strategy):
    drawing: np.random.Generator | None = state()

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self.drawing = self.drawing or np.random.default_rng(0)
        return EpochPlan(torch.from_numpy(self.drawing.permutation(epoch.n_samples)[: epoch.n_samples // 2]))


@dataclass
class PrivateState(Strategy):
    def __post_init__(self) -> None:
        self.epochs_lived = 0

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self.epochs_lived += 1
        return EpochPlan(epoch.all_ids[: epoch.n_samples - 60 * self.epochs_lived])


@dataclass
class DecidesByAccident(Strategy):
    def __post_init__(self) -> None:
        self.own = random.Random()

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids[self.own.randrange(200) :])


@dataclass
class NeverTheBaseline(Strategy):
    baseline_params = {"share": 0.0}
    share: Fraction = 0.5

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids, lr_scale=1.01)


@dataclass
class HidesNearlyAll(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids[:10])


@dataclass
class WeighsByNothing(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids, weights=torch.zeros(epoch.n_samples) / 0)


@dataclass
class MasksInsteadOfWeighing(Strategy):
    def select(self, batch: Batch, probe: Probe) -> Tensor:
        return probe.uniform(len(batch)) < 0.9


@dataclass
class DrawsIds(Strategy):
    def select(self, batch: Batch, probe: Probe) -> Resample:
        return Resample(batch.index + 1000, torch.ones(len(batch)))


@dataclass
class AnyNumber(Strategy):
    share: float = 0.5


@dataclass
class StumblesOverItsSetup(Strategy):
    def problems(self, setup: TrainingSetup) -> list[tuple[str, str]]:
        return [("", "too small")] if setup.n_train < 1000 else []  # type: ignore[operator]  # which may be None


@dataclass
class TwoTrainings(Strategy):
    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return Phase.train(1), Phase.train(epochs)


@dataclass
class Crashes(Strategy):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if epoch.index == 1:
            raise KeyError("threshold")
        return replace(super().plan(epoch, stats))


@dataclass
class SelectsOnSomeRanks(Strategy):
    def select(self, batch: Batch, probe: Probe) -> Tensor | None:
        return torch.ones(len(batch)) if os.environ["RANK"] == "1" else None


@dataclass
class PlansFromItsOwnBatches(Strategy):
    mean: float = state(0.0)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids[int(100 * self.mean) % 100 :])

    def observe(self, batch: Batch, measured: Measured) -> None:
        self.mean = float(measured.loss.mean())


class NoDataclass:
    pass


@dataclass
class Remembering(Sound):
    """Keeps its promises, and remembers features of whom it hides."""

    def memory_width(self, n_classes: int, n_features: int) -> int:
        return n_features

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        return outputs.features


class RemembersAnotherWidth(Remembering):
    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        return outputs.logits


class RemembersByAccident(Remembering):
    drawn = 0

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        RemembersByAccident.drawn += 1
        return outputs.features + RemembersByAccident.drawn


class ChangesOutputs(Remembering):
    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        return outputs.features.mul_(2)


class ShowsNothing(Sound):
    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return replace(super().plan(epoch, stats), image_size=0)


class TrainsNever(Sound):
    baseline_params = None

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return replace(super().plan(epoch, stats), repeats=0)
