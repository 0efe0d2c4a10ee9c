"""Epochs, statistics and a scripted probe: what a strategy is asked with, without any training."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.engine import seeds
from kbench.strategies.api import Batch, Epoch, Measured, Outputs, SampleStats

SIZES = (1, 2, 3, 5, 17, 100, 257)


@pytest.fixture
def epoch_at() -> Callable[..., Epoch]:
    """``epoch_at(n, 3)``: epoch 3 of a data set of n samples, its generator at the start of its stream."""

    def make(
        n: int, index: int = 1, *, epochs: int = 10, phase: str = "train", warmup: bool = False, seed: int = 0
    ) -> Epoch:
        return Epoch(
            phase=phase,
            index=index,
            epochs=epochs,
            n_samples=n,
            n_classes=10,
            warmup=warmup,
            device=torch.device("cpu"),
            rng=seeds.generator(seed, "plan", phase, index),
        )

    return make


@pytest.fixture
def unmeasured() -> Callable[[int], SampleStats]:
    """``unmeasured(n)``: what is known of n samples before anything was seen."""

    def make(n: int) -> SampleStats:
        return SampleStats(
            loss=torch.full((n,), float(np.log(10))),
            correct=torch.zeros(n, dtype=torch.bool),
            confidence=torch.full((n,), 0.1),
            error_norm=torch.full((n,), float(np.sqrt(0.9))),
            age=torch.full((n,), -1, dtype=torch.int16),
        )

    return make


@pytest.fixture
def stats_case() -> Callable[[int], SampleStats]:
    """``stats_case(k)``: the k-th of endless random cases; ties, all right, all wrong and tiny sets come up often."""

    def make(k: int) -> SampleStats:
        rng = np.random.default_rng(k)
        n = int(rng.choice(SIZES))
        loss = rng.exponential(size=n)
        if k % 3 == 0:
            loss = rng.integers(0, 4, size=n) / 4  # many ties, many zeros
        if k % 17 == 0:
            loss = np.zeros(n)
        right = [rng.random(n) < 0.7, np.ones(n, bool), np.zeros(n, bool)][k % 5 if k % 5 < 3 else 0]
        confidence = rng.choice([0.1, 0.5, 0.7, 0.9, 1.0], size=n) if k % 2 else rng.random(n)
        return SampleStats(
            loss=torch.tensor(loss, dtype=torch.float32),
            correct=torch.tensor(right),
            confidence=torch.tensor(confidence, dtype=torch.float32),
            error_norm=torch.tensor(rng.permutation(loss) / 3, dtype=torch.float32),
            age=torch.zeros(n, dtype=torch.int16),
        )

    return make


@dataclass
class ScriptedProbe:
    """A probe whose answers are written down: the losses of the next batches, and its own uniform stream."""

    epoch: Epoch
    losses: list[Tensor]
    rng: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(7))
    asked: int = 0
    drawn: list[Tensor] = field(default_factory=list)
    open: list[tuple[Any, Callable[[Any], None]]] = field(default_factory=list)
    given: list[Outputs] = field(default_factory=list)  # answers of ``outputs``; where none is left, random ones

    def measure(self, batch: Batch) -> Measured:
        loss = self.losses[self.asked]
        self.asked += 1
        return Measured(loss, loss < 1, torch.exp(-loss), 1 - torch.exp(-loss))

    def outputs(self, batch: Batch) -> Outputs:
        if self.given:
            return self.given.pop(0)
        b = len(batch)
        return Outputs(torch.randn(b, 10, generator=self.rng), torch.rand(b, 4, generator=self.rng))

    def mean(self, number: Tensor) -> float:
        return float(number)

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        self.open.append((work(), then))
        while len(self.open) > lag:
            made, hand_over = self.open.pop(0)
            hand_over(made)

    def uniform(self, n: int) -> Tensor:
        self.drawn.append(torch.rand(n, generator=self.rng))
        return self.drawn[-1]


@pytest.fixture
def probe_of() -> type[ScriptedProbe]:
    return ScriptedProbe


@pytest.fixture
def batch_of() -> Callable[[int], Batch]:
    """``batch_of(b)``: b samples that look like nothing."""
    return lambda b: Batch(torch.arange(b), torch.zeros(b, 1, 2, 2), torch.zeros(b, dtype=torch.int64))
