"""The contract between the training loop and a strategy: what a method sees, and what it answers.

A strategy answers one question: which samples next, and how much do they count?  This is the loop that asks it, with
each hook in its place.  Every hook has a default, and the defaults together are the baseline::

    strategy = kbench.strategies.load(name, params)
    strategy.problems(setup)                        # kbench check, before anything starts: what cannot work?
    strategy.follow(past)                           # only where a parameter ``like`` names another strategy
    for phase in strategy.phases(recipe.epochs):    # each begins with fresh weights
        for index in range(phase.epochs):
            plan = strategy.plan(epoch, stats)      # the same on every rank
            for batch in batches(plan.indices):     # shuffled; this rank's of plan.candidate_batches global batches
                kept = strategy.select(batch, probe)     # loss weights, a Resample, or None: all as they are
                for full in full_batches(kept):     # what is kept waits until every rank has a full batch
                    measured = step(full)           # forward, backward, update
                    stats[full.index] = measured
                    strategy.observe(full, measured)
            stats[plan.refresh] = measure(plan.refresh)  # not after the last epoch: nothing would read it
            stats.memory[plan.refresh] = strategy.remember(...)  # only where memory_width says so
            stats = merge(stats over all ranks)
            evaluate()                              # off the method's clock; all above is on it

A strategy never communicates and never reads a clock; every forward pass that it asks for is counted and charged to it.
What it must remember from one call to the next it keeps in fields made with ``state``, which go into checkpoints.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol, TypeVar
from zlib import crc32

import torch
from torch import Tensor

from kbench.config.strategy_choice import Role


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """The data set and the recipe that a strategy is going to be trained with, as they are known before any start."""

    n_train: int | None  # training samples; None: not known before the data set is opened
    n_classes: int | None  # likewise
    task: Literal["classification", "segmentation"]
    epochs: int  # of the recipe
    global_batch: int  # [sample] per step, over all ranks
    image_size: int | None = None  # [pixel] side of the square that the model trains on; None: not known, or no square

    def too_few_left(self, share: float) -> str:
        """Say that without a ``share`` in [0, 1) of the samples no global batch is left; empty where one is."""
        if self.n_train is None:
            return ""
        left = self.n_train - share_of(self.n_train, share)
        if left >= self.global_batch:
            return ""
        return f"leaves {left} of {self.n_train} samples, fewer than one global batch of {self.global_batch}"


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
    image_size: int = 0  # [pixel] side of the square that the recipe trains on; 0: no square

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

    loss: Tensor  # float32 [nat], plain cross-entropy; against the mixed target where samples are mixed
    correct: Tensor  # bool
    confidence: Tensor  # float32 in [0, 1]: probability given to the true class
    error_norm: Tensor  # float32 in [0, sqrt(2)]: Euclidean norm of softmax minus one-hot
    age: Tensor  # int16 [epochs] since it was measured; -1: never
    label: Tensor | None = None  # int64 in [0, n_classes): its class; None for tasks without one for each sample
    memory: Tensor | None = None  # (n_samples, width) float32: what ``remember`` gave, 0 before; None: width 0

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
    """What one epoch trains on, and how; its tensors lie on ``Epoch.device``."""

    indices: Tensor  # (m,) int64 sample ids, repeats allowed; the engine shuffles
    weights: Tensor | None = None  # (n_samples,) float32 loss weight by sample id
    lr_scale: float = 1.0  # multiplies the scheduled learning rate
    refresh: Tensor | None = None  # (r,) int64 sample ids to measure again after training
    candidate_batches: int = 1  # [global batch] that ``select`` sees at once
    image_size: int | None = None  # [pixel] side of the images to train and refresh on; None: the recipe's
    augment: str | None = None  # name of an augmentation of the data set to train with; None: the recipe's
    repeats: int = 1  # how often each batch that was loaded is trained on, in a row (data echoing)
    ceiling: float | None = None  # the largest share of the samples that may be hidden, where there is one
    charged_s: float = 0.0  # [s] of work done before the run for this plan, on the clock of its epoch
    as_coded: AsCoded = AsCoded()

    def digest(self) -> int:
        """Return a number in [0, 2^62) that differs, in all likelihood, when the plan does."""
        total = 0
        for ids in (self.indices, self.refresh):
            if ids is not None:
                place = torch.arange(len(ids), device=ids.device) % 8191 + 1
                total = total * 31 + int((ids * place).sum()) + len(ids)
        if self.weights is not None:
            place = torch.arange(len(self.weights), device=self.weights.device) % 8191 + 1
            total += int((self.weights.double() * place).sum() * 1024)
        total = total * 31 + (self.image_size or 0) * 8191 + self.repeats + crc32((self.augment or "").encode())
        return (total * 31 + self.candidate_batches + int(self.lr_scale * 2**20)) % 2**62

    @classmethod
    def hide(cls, hidden: Tensor, **rest: Any) -> "EpochPlan":
        """Train on all but ``hidden`` ((n_samples,) bool) and measure the hidden ones again."""
        return cls((~hidden).nonzero().squeeze(1), refresh=hidden.nonzero().squeeze(1), **rest)


@dataclass(frozen=True)
class Measured:
    """Per-sample results of one forward pass: (b,) tensors on the device, without graph."""

    loss: Tensor  # float32 [nat]
    correct: Tensor  # bool
    confidence: Tensor  # float32 in [0, 1]
    error_norm: Tensor  # float32 in [0, sqrt(2)]


@dataclass(frozen=True)
class Outputs:
    """What the model gives for b samples: tensors on the device, without graph."""

    logits: Tensor  # (b, n_classes) float32
    features: Tensor  # (b, n_features) float32: the input of the last linear layer

    def error(self, y: Tensor) -> Tensor:
        """(b, n_classes) float32: softmax minus one-hot, the gradient of the cross-entropy at the logits.

        The gradient of a sample's loss with respect to the last layer is the outer product of its error and features.

        Args:
            y: (b,) int64 classes.
        """
        error, rows = self.logits.softmax(1), torch.arange(len(y), device=y.device)
        error[rows, y] = 0
        error[rows, y] = -error.sum(1)  # p - 1 would round to 0 where the model is very sure
        return error


# Where samples are mixed: the label that was mixed into each, (b,) int64, and the share of its own y, (b,) float32.
Mix = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Batch:
    """Samples on the device, with their ids."""

    index: Tensor  # (b,) int64 sample ids
    x: Tensor  # (b, channels, height, width) float32: as the model gets them, augmented and normalised
    y: Tensor  # (b,) int64 classes; (b, height, width) for segmentation
    weight: Tensor | None = None  # (b,) float32 loss weights; None: all 1
    mix: Mix | None = None  # where the recipe mixes samples: what was mixed into each

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, rows: Tensor | slice) -> "Batch":
        """Some of its samples, in the order of ``rows``."""
        weight = None if self.weight is None else self.weight[rows]
        mix = None if self.mix is None else (self.mix[0][rows], self.mix[1][rows])
        return Batch(self.index[rows], self.x[rows], self.y[rows], weight, mix)


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
        """Forward a batch through the model as it stands: evaluation mode, no graph.

        The samples' statistics are renewed by it, and their number is added to the epoch's ``n_scored``.
        """

    def outputs(self, batch: Batch) -> Outputs:
        """Forward a batch as ``measure`` does, at the same price, and give logits and the last layer's input.

        Raises:
            RunError: the model does not end in a linear layer with an output for each class.
        """

    def uniform(self, n: int) -> Tensor:
        """(n,) float32 in [0, 1) on the device, from this rank's own stream."""

    def mean(self, number: Tensor) -> float:
        """The mean of ``number`` (one element) over the ranks; every rank must ask at the same step.

        It waits for the device and, with several ranks, for the others.
        """

    def in_background(self, work: Callable[[], T], then: Callable[[T], None], *, lag: int) -> None:
        """Run ``work`` on a thread (on a GPU: a stream) of its own while training goes on.

        Args:
            work: what to run, without a graph; its time is the epoch's ``background_s``, not part of ``train_s``.
            then: gets what ``work`` returned, in the order of the calls, when ``lag`` later works have been given or
                the epoch ends: never sooner and never later, so that a run can be repeated.
            lag: [work] how many may be open, at least 0.
        """


@dataclass(frozen=True, kw_only=True)
class EpochCost:
    """What another run did and paid in one epoch; counts [sample] over all ranks."""

    phase: str
    epoch: int
    n_samples: int
    n_full: int  # samples that an epoch on everything trains on: full batches only
    global_batch: int
    n_trained: int
    n_scored: int
    n_refreshed: int
    n_dropped: int  # left over from the last full batch
    forward_s: float  # [s] of training
    step_s: float  # [s] forward, backward and update
    lr_scale: float = 1.0  # what its plan multiplied the learning rate with

    @property
    def n_left_out(self) -> int:
        """How many a plan must leave out to train on as many: what fills no last batch is left over again."""
        return max(0, self.n_samples - self.n_trained - min(self.n_dropped, self.global_batch - 1))


class Strategy:
    """Decides which samples an epoch, and a batch, train on: a dataclass derived from this class.

    Its fields are its parameters, each typed with its range (``kbench.config.value_types``); fields made with
    ``state`` are what it remembers, and no parameters.

    Attributes:
        role: what it is there for: a ``method`` is to be judged, a ``control`` is what a method must beat (it needs no
            knowledge of the samples), the ``baseline`` is what both are compared with.
        baseline_params: parameters with which it does nothing and trains exactly like the baseline; None where there
            are none.
        inner: another strategy that this one asks, as a schedule around it does; its state goes into checkpoints too.
        takes_mixed: whether it keeps its meaning where a recipe mixes samples (mixup, cutmix) and says of neither label
            that it counts: it uses losses, which are against the mixed target, and what is known of samples before
            training, but nothing that a forward pass tells of a class (correct, confidence, error_norm, outputs).
        n_bytes_per_sample: [byte] that its state takes for each sample at most, beside the 19 of every run and what
            ``remember`` keeps.
    """

    role: ClassVar[Role] = "method"
    baseline_params: ClassVar[Mapping[str, Any] | None] = None
    inner: "Strategy | None" = None
    n_bytes_per_sample: int = 5
    takes_mixed: bool = False

    def problems(self, setup: TrainingSetup) -> Iterable[tuple[str, str]]:
        """Say what these parameters make impossible with a data set and a recipe; asked before anything starts.

        Args:
            setup: what it would be trained with.

        Returns:
            (parameter, sentence) for each thing that cannot work; the parameter is "" where it is none's fault.
        """
        return ()

    def follow(self, past: Sequence[EpochCost]) -> None:
        """Learn what the run did that a parameter named ``like`` names; called once, before ``phases``.

        Args:
            past: what that run paid, epoch by epoch over all its phases; never empty.
        """
        raise ValueError("this strategy follows no other")

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        """Divide the training into stretches that begin with fresh weights.

        Args:
            epochs: of the recipe, at least 1.

        Returns:
            At least one phase, each with a name of its own; the last is named ``train``, and is what counts.
        """
        return (Phase.train(epochs),)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        """Choose what an epoch trains on; every rank must come to the same plan.

        It may depend on the arguments and on state that all ranks share, not on what ``select`` and ``observe`` saw.

        Args:
            epoch: where the run stands; ``epoch.uniform`` is the randomness to use.
            stats: what is known of each sample, as merged over the ranks when the last epoch ended; a copy.

        Returns:
            A plan of at least one full global batch.
        """
        return EpochPlan(epoch.all_ids)

    def memory_width(self, n_classes: int, n_features: int) -> int:
        """Say how many numbers ``remember`` keeps of each sample, 4 bytes each on every rank; 0 asks for none.

        Args:
            n_classes: of the data set.
            n_features: length of the input of the model's last linear layer.
        """
        return 0

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Turn a refreshed batch into what ``plan`` finds in ``stats.memory``; only asked where there is a width.

        Args:
            batch: b samples of this rank, of those that the plan refreshes.
            outputs: what the model gave for them.

        Returns:
            (b, memory_width) float32.
        """
        raise NotImplementedError("a strategy with a memory_width remembers something")

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        """Choose among candidates of this rank: at a given step None on every rank, or on none.

        Args:
            batch: b candidates; ``plan.candidate_batches`` batches of this rank, perhaps fewer at the end of an epoch.
            probe: measures candidates, and is the randomness to use.

        Returns:
            (b,) float32 loss weights, where 0 drops a sample; a Resample, which may repeat some; None keeps all as they
            are.
        """
        return None

    def observe(self, batch: Batch, measured: Measured) -> None:
        """Learn from a batch that was just trained on.

        Args:
            batch: the full batch of this rank, with its weights.
            measured: what its forward pass gave, before the update.
        """


def state(value: Any = None) -> Any:
    """Declare a field of a strategy's state: no parameter, and not part of a run's name.

    It holds tensors, numbers, text or None, and goes into checkpoints: ``losses: Tensor | None = state()``.

    Args:
        value: what it holds at the beginning of a run.
    """
    return field(default=value, init=False, repr=False, compare=False)


def state_dict(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy's state, by the names of its fields: what a checkpoint holds of it.

    That of a strategy within it stands behind ``inner.``.
    """
    own: Any = strategy  # a dataclass, as every strategy is
    state = {f.name: getattr(strategy, f.name) for f in fields(own) if not f.init}
    if strategy.inner is not None:
        state |= {f"inner.{name}": value for name, value in state_dict(strategy.inner).items()}
    return state


def load_state_dict(strategy: Strategy, past: Mapping[str, Any]) -> None:
    """Set a strategy's state to what ``state_dict`` returned."""
    for name, value in past.items():
        head, _, rest = name.partition(".")
        if rest and strategy.inner is not None:
            load_state_dict(strategy.inner, {rest: value})
        else:
            setattr(strategy, head, value)


def share_of(n: int, share: float) -> int:
    """Return how many of ``n`` samples a ``share`` in [0, 1] is: rounded down, everywhere in kbench."""
    return math.floor(share * n)
