"""The contract between the training loop and a strategy: what a method sees, and what it answers.

A strategy answers one question: which samples next, and how much do they count?  It has at most
four hooks, each with a default that is the baseline's.  It never communicates and never reads a
clock; every forward pass that it asks for is counted and charged to it.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training that starts from fresh weights.

    ``horizon`` [epochs] is the length over which the learning-rate schedule is laid; it is
    ``epochs`` unless a phase is the beginning of a longer training, as FORGET's scoring is.
    """

    name: str
    epochs: int
    horizon: int

    @classmethod
    def train(cls, epochs: int) -> "Phase":
        """The phase that counts: the whole schedule within ``epochs``."""
        return cls(name="train", epochs=epochs, horizon=epochs)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Where the run stands; identical on every rank."""

    phase: str
    index: int  # within the phase, from 0
    epochs: int  # in the phase
    n_samples: int
    n_classes: int
    warmup: bool  # the learning rate is still ramping up
    device: torch.device  # where plans are made
    rng: torch.Generator  # on the CPU; the same stream on every rank

    @property
    def everyone(self) -> Tensor:
        """(n_samples,) int64: all sample ids."""
        return torch.arange(self.n_samples, device=self.device)

    @property
    def last(self) -> bool:
        return self.index == self.epochs - 1

    def uniform(self, n: int) -> Tensor:
        """(n,) float64 in [0, 1), the same numbers on every rank and on every kind of device."""
        return torch.rand(n, generator=self.rng, dtype=torch.float64).to(self.device)


@dataclass(frozen=True)
class SampleStats:
    """What is known of each training sample: (n_samples,) tensors, the same on every rank.

    A sample that was never measured counts as a uniform guess: loss ln C, wrong, confidence 1/C.
    """

    loss: Tensor  # float32 [nat], plain cross-entropy
    correct: Tensor  # bool
    confidence: Tensor  # float32 in [0, 1]: probability given to the true class
    age: Tensor  # int16 [epochs] since it was measured; -1: never

    @property
    def known(self) -> Tensor:
        """(n_samples,) bool: measured at least once."""
        return self.age >= 0


@dataclass(frozen=True)
class EpochPlan:
    """What one epoch trains on, and how."""

    indices: Tensor  # (m,) int64 sample ids, repeats allowed; the engine shuffles
    weights: Tensor | None = None  # (n_samples,) float32 loss weight by sample id
    lr_scale: float = 1.0  # multiplies the scheduled learning rate
    refresh: Tensor | None = None  # (r,) int64 sample ids to measure again after training

    def digest(self) -> int:
        """A number that differs, in all likelihood, when the plan does."""
        total = 0
        for ids in (self.indices, self.refresh):
            if ids is not None:
                place = torch.arange(len(ids), device=ids.device) % 8191 + 1
                total = total * 31 + int((ids * place).sum()) + len(ids)
        if self.weights is not None:
            place = torch.arange(len(self.weights), device=self.weights.device) % 8191 + 1
            total += int((self.weights.double() * place).sum() * 1024)
        return (total + int(self.lr_scale * 2**20)) % 2**62

    @classmethod
    def hide(cls, hidden: Tensor, *, lr_scale: float = 1.0) -> "EpochPlan":
        """Train on all but ``hidden`` ((n_samples,) bool) and measure the hidden ones again."""
        train, rest = (~hidden).nonzero().squeeze(1), hidden.nonzero().squeeze(1)
        return cls(train, lr_scale=lr_scale, refresh=rest)


@dataclass(frozen=True)
class Measured:
    """Per-sample results of one forward pass: (batch,) tensors on the device, without graph."""

    loss: Tensor  # float32 [nat]
    correct: Tensor  # bool
    confidence: Tensor  # float32 in [0, 1]


@dataclass(frozen=True)
class Batch:
    """Samples on the device, with their ids."""

    index: Tensor  # (b,) int64 sample ids
    x: Tensor  # (b, ...)
    y: Tensor  # (b,) int64
    weight: Tensor | None = None  # (b,) float32 loss weights

    def __len__(self) -> int:
        return len(self.index)


class Probe(Protocol):
    """What a strategy may ask about candidates; a forward pass is paid only if asked for."""

    epoch: Epoch

    def measure(self, batch: Batch) -> Measured:
        """Look at a batch with the model as it stands: evaluation mode, no graph."""

    def uniform(self, n: int) -> Tensor:
        """(n,) float32 in [0, 1) on the device, from this rank's own stream."""


class Strategy:
    """Decides which samples an epoch, and a batch, train on.

    Parameters are the fields of the dataclass; fields made with ``memory`` are not parameters.
    ``plan`` must be a function of its arguments and of synchronised memory only, so that every
    rank makes the same plan.  ``select`` sees this rank's batch; at a given step it returns None
    on every rank or on none.
    """

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        """The stretches of training for a recipe of ``epochs``; the last one is what counts."""
        return (Phase.train(epochs),)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        """Choose what this epoch trains on."""
        return EpochPlan(epoch.everyone)

    def select(self, batch: Batch, probe: Probe) -> Tensor | None:
        """Weigh candidates: (b,) float32, 0 drops a sample; None keeps the batch as it is."""
        return None

    def observe(self, batch: Batch, measured: Measured) -> None:
        """Learn from a batch that was just trained on."""


def memory(value: Any = None) -> Any:
    """A field that the strategy remembers by: no parameter, and not part of a run's name."""
    return field(default=value, init=False, repr=False, compare=False)


def share_of(n: int, share: float) -> int:
    """How many of ``n`` samples a share is: rounded down, everywhere in kbench."""
    return math.floor(share * n)
