"""The contract between the training loop and a strategy: what a method sees, and what it answers.

A strategy answers one question: which samples next, and how much do they count?  It has four
hooks for that, each with a default that is the baseline's.  It never communicates and never reads
a clock; every forward pass that it asks for is counted and charged to it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol, TypeVar

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
    def all_ids(self) -> Tensor:
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

    A sample that was never measured counts as a uniform guess: loss ln C, wrong, confidence 1/C,
    error_norm sqrt(1 - 1/C).
    """

    loss: Tensor  # float32 [nat], plain cross-entropy
    correct: Tensor  # bool
    confidence: Tensor  # float32 in [0, 1]: probability given to the true class
    error_norm: Tensor  # float32 in [0, sqrt(2)]: Euclidean norm of softmax minus one-hot
    age: Tensor  # int16 [epochs] since it was measured; -1: never

    @property
    def known(self) -> Tensor:
        """(n_samples,) bool: measured at least once."""
        return self.age >= 0


@dataclass(frozen=True, kw_only=True)
class AsCoded:
    """Where published code departs from the plain reading; the defaults are the plain reading.

    ``confidence_over`` batch: the softmax runs over the samples of a batch, and a confidence is
    the largest of its row.  ``refresh_in`` train: refreshing moves BatchNorm's statistics and drops
    out.  ``lr_clock`` updates: the schedule counts real updates against epochs of full length, so
    that a method with fewer updates never gets to its end.
    """

    confidence_over: Literal["classes", "batch"] = "classes"
    refresh_in: Literal["eval", "train"] = "eval"
    lr_clock: Literal["epochs", "updates"] = "epochs"


@dataclass(frozen=True)
class EpochPlan:
    """What one epoch trains on, and how."""

    indices: Tensor  # (m,) int64 sample ids, repeats allowed; the engine shuffles
    weights: Tensor | None = None  # (n_samples,) float32 loss weight by sample id
    lr_scale: float = 1.0  # multiplies the scheduled learning rate
    refresh: Tensor | None = None  # (r,) int64 sample ids to measure again after training
    candidate_batches: int = 1  # [global batch] that ``select`` sees at once
    ceiling: float | None = None  # the largest share that may be hidden, where there is one
    as_coded: AsCoded = AsCoded()

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
        return (total * 31 + self.candidate_batches + int(self.lr_scale * 2**20)) % 2**62

    @classmethod
    def hide(cls, hidden: Tensor, **rest: Any) -> "EpochPlan":
        """Train on all but ``hidden`` ((n_samples,) bool) and measure the hidden ones again."""
        return cls((~hidden).nonzero().squeeze(1), refresh=hidden.nonzero().squeeze(1), **rest)


@dataclass(frozen=True)
class Measured:
    """Per-sample results of one forward pass: (batch,) tensors on the device, without graph."""

    loss: Tensor  # float32 [nat]
    correct: Tensor  # bool
    confidence: Tensor  # float32 in [0, 1]
    error_norm: Tensor  # float32 in [0, sqrt(2)]


@dataclass(frozen=True)
class Batch:
    """Samples on the device, with their ids."""

    index: Tensor  # (b,) int64 sample ids
    x: Tensor  # (b, ...)
    y: Tensor  # (b,) int64
    weight: Tensor | None = None  # (b,) float32 loss weights

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Resample:
    """Candidates that were drawn, perhaps repeatedly."""

    rows: Tensor  # (k,) int64 places in the batch that select was shown
    weight: Tensor  # (k,) float32 loss weights, above 0


T = TypeVar("T")


class Probe(Protocol):
    """What a strategy may ask for while it selects; each request is paid for when it is made."""

    epoch: Epoch

    def measure(self, batch: Batch) -> Measured:
        """Look at a batch with the model as it stands: evaluation mode, no graph."""

    def uniform(self, n: int) -> Tensor:
        """(n,) float32 in [0, 1) on the device, from this rank's own stream."""

    def mean(self, number: Tensor) -> float:
        """The mean of ``number`` (one element) over the ranks; every rank must ask at the same step.

        It waits for the device and, with several ranks, for the others.
        """

    def in_background(self, work: Callable[[], T], then: Callable[[T], None], *, lag: int) -> None:
        """Do ``work`` on a thread (on a GPU: a stream) of its own while training goes on.

        ``then`` gets what it returned, in order, when ``lag`` later works have been given or the
        epoch ends: never sooner and never later, so that a run can be repeated.
        """


@dataclass(frozen=True, kw_only=True)
class EpochCost:
    """What another run did and paid in one epoch; counts over all ranks."""

    phase: str
    epoch: int
    n_samples: int
    n_full: int  # samples that an epoch on everything trains on: full batches only
    global_batch: int
    n_trained: int
    n_scored: int
    n_refreshed: int
    n_dropped: int  # left over from the last full batch
    forward_s: float  # of training
    step_s: float  # forward, backward and update

    @property
    def n_left_out(self) -> int:
        """So many less than all, and as many are trained on: what fills no last batch is left over again."""
        return max(0, self.n_samples - self.n_trained - min(self.n_dropped, self.global_batch - 1))


class Strategy:
    """Decides which samples an epoch, and a batch, train on.

    Parameters are the fields of the dataclass; fields made with ``state`` are not parameters.
    ``plan`` must be a function of its arguments and of synchronised memory only, so that every
    rank makes the same plan.  ``select`` sees this rank's batch; at a given step it returns None
    on every rank or on none.  ``baseline_params`` holds parameters with which the method does nothing and
    trains exactly like the baseline; None where there are none.
    """

    baseline_params: ClassVar[Mapping[str, Any] | None] = None

    def follow(self, past: Sequence[EpochCost]) -> None:
        """Learn what the run did that a parameter named ``like`` names; called before ``phases``."""
        raise ValueError("this strategy follows no other")

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        """The stretches of training for a recipe of ``epochs``; the last one is what counts."""
        return (Phase.train(epochs),)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        """Choose what this epoch trains on."""
        return EpochPlan(epoch.all_ids)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        """Weigh candidates: (b,) float32, 0 drops a sample; or draw some; None keeps all as they are."""
        return None

    def observe(self, batch: Batch, measured: Measured) -> None:
        """Learn from a batch that was just trained on."""


def state(value: Any = None) -> Any:
    """A field that the strategy remembers by: no parameter, and not part of a run's name.

    It holds tensors, numbers, text or None, and goes into checkpoints.
    """
    return field(default=value, init=False, repr=False, compare=False)


def state_dict(strategy: Strategy) -> dict[str, Any]:
    """What a strategy remembers, by the names of its fields."""
    own: Any = strategy  # a dataclass, as every strategy is
    return {f.name: getattr(strategy, f.name) for f in fields(own) if not f.init}


def load_state_dict(strategy: Strategy, past: Mapping[str, Any]) -> None:
    """Give a strategy back what ``state_dict`` told of it."""
    for name, value in past.items():
        setattr(strategy, name, value)


def share_of(n: int, share: float) -> int:
    """How many of ``n`` samples a share is: rounded down, everywhere in kbench."""
    return math.floor(share * n)
