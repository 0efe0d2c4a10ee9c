"""Training samples that are fewer, less evenly spread over the classes, or mislabelled: a source seen through another.

What is drawn is drawn for each sample by its id in the data set, so that it is the same on any rank and device.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from kbench.config.recipe import Recipe
from kbench.data.views.hashed_random import salted, uniform
from kbench.data.views.spec import Source, ViewedBatch, ViewSpec
from kbench.errors import WorkloadError


@dataclass(frozen=True)
class Chosen:
    """Some of the samples of a source, counted anew from 0."""

    source: Source
    ids: Tensor  # (m,) int64 in the source, ascending

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> Tensor | None:
        """(m,) int64: the class of each sample; None where it has no single one."""
        known = self.source.labels
        return None if known is None else known[self.ids.to(known.device)]

    def to(self, device: torch.device) -> Self:
        """The same samples, seen on ``device``."""
        return type(self)(self.source.to(device), self.ids.to(device))

    def batches(self, ids: Iterable[Tensor], view: ViewSpec) -> Iterator[ViewedBatch]:
        """Yield samples as the source shows them: a sample looks the same whatever else was chosen."""
        chunks = list(ids)
        of_source = [self.ids[chunk.to(self.ids.device)] for chunk in chunks]
        for chunk, (_, x, y) in zip(chunks, self.source.batches(of_source, view), strict=True):
            yield chunk.to(x.device), x, y


@dataclass(frozen=True)
class Relabelled:
    """The samples of a source under other labels."""

    source: Source
    y: Tensor  # (n,) int64

    def __len__(self) -> int:
        return len(self.source)

    @property
    def labels(self) -> Tensor | None:
        """(n,) int64: the class of each sample, as it is trained on."""
        return self.y

    def to(self, device: torch.device) -> Self:
        """The same samples, seen on ``device``."""
        return type(self)(self.source.to(device), self.y.to(device))

    def batches(self, ids: Iterable[Tensor], view: ViewSpec) -> Iterator[ViewedBatch]:
        """Yield samples as the source shows them, with their other labels."""
        for index, x, _ in self.source.batches(ids, view):
            yield index, x, self.y[index.to(self.y.device)].to(x.device)


def altered(source: Source, recipe: Recipe, *, n_classes: int, seed: int) -> Source:
    """Show the training samples as ``n_train``, ``long_tail`` and ``noise`` of a recipe ask for, in this order.

    Args:
        source: All training samples.
        recipe: With the three keys; at their defaults the source is returned as it is.
        n_classes: Of the data set.
        seed: Of the run: it draws the tail and the noise.  ``n_train`` chooses the same samples for every seed.

    Raises:
        WorkloadError: There are fewer samples, or no class is known for each sample.
    """
    if not (recipe.n_train or recipe.long_tail > 1 or recipe.noise):
        return source
    if recipe.n_train > len(source):
        raise WorkloadError(f"recipe.n_train: {recipe.n_train} of {len(source)} training samples")
    labels = _labels(source)
    ids = torch.arange(len(source), device=labels.device)
    if recipe.n_train:
        ids = ids[_stratified(labels, recipe.n_train, uniform(salted(0, "n_train"), ids, 1)[:, 0])]
    if recipe.long_tail > 1:
        ids = ids[_tail(labels[ids], recipe.long_tail, n_classes, uniform(salted(seed, "long_tail"), ids, 1)[:, 0])]
    chosen = source if len(ids) == len(source) else Chosen(source, ids)
    if not recipe.noise:
        return chosen
    return Relabelled(chosen, _noisy(labels[ids], recipe.noise, n_classes, uniform(salted(seed, "noise"), ids, 2)))


def _labels(source: Source) -> Tensor:
    labels = source.labels
    if labels is None:
        raise WorkloadError(
            "n_train, long_tail and noise need the class of each sample, and this data set does not tell it",
            hint="leave them out of the recipe",
        )
    return labels


def _stratified(labels: Tensor, count: int, at: Tensor) -> Tensor:
    """The places of ``count`` samples, as many of each class as its share says, rounded to add up; ascending."""
    sizes = torch.bincount(labels)
    exact = sizes.double() * count / len(labels)
    counts = exact.floor().long()
    rest = torch.argsort(counts - exact, stable=True)[: count - int(counts.sum())]
    counts[rest] += 1
    return _lowest_of_classes(labels, counts.tolist(), at)


def _tail(labels: Tensor, ratio: float, n_classes: int, at: Tensor) -> Tensor:
    """The places of what a long tail leaves: class c keeps ``most * ratio ** (-c / (C - 1))``; ascending."""
    sizes = torch.bincount(labels, minlength=n_classes).tolist()
    profile = [max(sizes) * ratio ** (-c / max(1, n_classes - 1)) for c in range(n_classes)]
    counts = [min(size, max(1, round(wanted))) for size, wanted in zip(sizes, profile, strict=True)]
    return _lowest_of_classes(labels, counts, at)


def _lowest_of_classes(labels: Tensor, counts: list[int], at: Tensor) -> Tensor:
    parts = []
    for c, count in enumerate(counts):
        members = (labels == c).nonzero().squeeze(1)
        parts.append(members[torch.argsort(at[members], stable=True)[:count]])
    return torch.cat(parts).sort().values


def _noisy(labels: Tensor, share: float, n_classes: int, at: Tensor) -> Tensor:
    """(n,): exactly ``int(share * n)`` of the labels moved to another class, each other one as likely."""
    wrong = torch.argsort(at[:, 0], stable=True)[: int(share * len(labels))]
    steps = 1 + (at[wrong, 1] * (n_classes - 1)).long().clamp_max(n_classes - 2)
    noisy = labels.clone()
    noisy[wrong] = (labels[wrong] + steps) % n_classes
    return noisy
