"""AutoAssist: a small model, trained in the background, guesses from raw inputs which samples are worth training on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kbench.config.value_types import NonNegative, Positive, Probability
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Probe, SampleStats, Strategy, TrainingSetup, state

LAG_BATCHES = 5  # that wait for the assistant in the authors' code before it trains
FORGETTING = 0.75  # of the running mean, in the authors' code


class Assistant(NamedTuple):
    """A logistic regression, and the running mean that its targets are made by; never changed in place."""

    pixels: Tensor  # (d,) float32: one weight for each number of an input
    labels: Tensor  # (n_classes,) float32: one for each class
    sums: Tensor  # (2,) float32: decayed sums of losses [nat] and of samples

    def worth(self, x: Tensor, y: Tensor) -> Tensor:
        """(b,) float32 in [0, 1]: the chance that a sample's loss is above the mean."""
        return torch.sigmoid(x.flatten(1).float() @ self.pixels + self.labels[y])

    def learnt(self, x: Tensor, y: Tensor, m: Measured, *, lr: float, l2: float, by_loss: bool) -> "Assistant":
        """The assistant after one step of gradient descent on a batch that was just trained on."""
        batch = torch.stack([m.loss.sum(), torch.full_like(m.loss.sum(), len(y))])
        sums = FORGETTING * self.sums + (1 - FORGETTING) * batch
        target = m.loss > sums[0] / sums[1] if by_loss else ~m.correct
        error, rate = self.worth(x, y) - target.float(), lr / len(y)
        pixels = self.pixels - rate * (error @ x.flatten(1).float() + l2 * self.pixels)
        member = (y[:, None] == torch.arange(len(self.labels), device=y.device)).float()  # adds up in a fixed order
        labels = self.labels - rate * (error @ member + l2 * member.sum(0) * self.labels)
        return Assistant(pixels, labels, sums)


@dataclass
class AutoAssist(Strategy):
    """Accepts a sample with probability ``base_prob + (1 - base_prob) * p``; p is what the assistant says.

    Source: AutoAssist (arXiv:1905.03381), of which we have the abstract, and its authors' code for
    images.  p = sigmoid(W x + U[y]) on the input as it comes, flattened.  After each step the
    assistant learns from the batch trained on: the label is loss > running mean of losses (decay
    0.75, this batch included; ``target: wrong`` takes the misclassified, an option there), and one
    step of ``lr`` / batch size goes down the sum of the gradients, + ``l2`` W, and + ``l2`` U[y] for
    each sample of class y.  Losses are not weighted.  Epoch 0 asks the untrained assistant (p = 1/2),
    as their code for images does; their code for translation accepts all in the first epoch.
    The assistant learns in the background, on a thread of its own (on a GPU: a stream).  Its time
    is ``background_s``; ``train_s`` holds it only as far as it slows the training or is waited for at the
    end of an epoch.  Its processor time is part of ``cpu_s``.  What it learnt of a batch is used
    from the moment when 5 later ones were handed to it; their assistant learns when at least 5
    batches queue for the model, which depends on timing, so that no run repeats.
    Departures: W and U start at 0, where theirs are normal with deviation 0.001; the decay of U is
    taken once per batch, where theirs follows each sample; it learns from the view that was trained
    on, where theirs reads the samples again; batches trained after the last selection of an epoch are not
    learnt from; an epoch is one pass over shuffled candidates, as for ``sb``, where theirs come in
    the order of the file and an epoch makes n / batch updates however many candidates that takes; each rank has
    an assistant of its own, which learns from this rank's part of the batches.
    """

    baseline_params = {"base_prob": 1.0}

    base_prob: Probability = 0.3
    lr: Positive = 0.01
    l2: NonNegative = 1e-3
    target: Literal["loss", "wrong"] = "loss"

    pixels: Tensor | None = state()  # these three: the assistant that select asks
    labels: Tensor | None = state()
    sums: Tensor | None = state()

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if setup.task == "segmentation":
            yield "", "the assistant has a weight for the class of a sample, and a segmentation has one for each pixel"

    def __post_init__(self) -> None:
        self._learning: Assistant | None = None  # only works touch it while an epoch runs
        self._trained: list[tuple[Batch, Measured]] = []  # not handed over yet

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self._learning, self._trained = self._current(), []
        return EpochPlan(epoch.all_ids)

    def select(self, batch: Batch, probe: Probe) -> Tensor:
        for trained in self._trained:
            probe.in_background(partial(self._learn, *trained), self._publish, lag=LAG_BATCHES)
        self._trained = []
        assistant = self._current()
        if assistant is None:
            assistant = untrained(batch.x, probe.epoch.n_classes)
            self._learning = assistant
            self._publish(assistant)
        chance = self.base_prob + (1 - self.base_prob) * assistant.worth(batch.x, batch.y)
        return (probe.uniform(len(batch)) < chance).float()

    def observe(self, batch: Batch, measured: Measured) -> None:
        self._trained.append((batch, measured))

    def _learn(self, batch: Batch, m: Measured) -> Assistant:
        assert self._learning is not None
        by_loss = self.target == "loss"
        self._learning = self._learning.learnt(batch.x, batch.y, m, lr=self.lr, l2=self.l2, by_loss=by_loss)
        return self._learning

    def _publish(self, assistant: Assistant) -> None:
        self.pixels, self.labels, self.sums = assistant

    def _current(self) -> Assistant | None:
        if self.pixels is None or self.labels is None or self.sums is None:
            return None
        return Assistant(self.pixels, self.labels, self.sums)


def untrained(x: Tensor, n_classes: int) -> Assistant:
    """An assistant that has learnt nothing: it says 1/2 of every sample."""
    return Assistant(*(torch.zeros(size, device=x.device) for size in (x[0].numel(), n_classes, 2)))
