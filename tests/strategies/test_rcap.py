"""RCAP against a slow restatement of its authors' library, with the numbers of the epoch's stream."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from kbench.engine import seeds
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, TrainingSetup
from kbench.strategies.rcap import shared_out

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


def importance_slowly(losses: list[float], beta: float) -> list[float]:
    highest = max(losses)
    powers = [math.exp((loss - highest) / beta) for loss in losses]
    return [power / sum(powers) for power in powers]


def counts_slowly(n_kept: int, sizes: list[int], mass: list[float]) -> list[int]:
    """Fill one full class at a time, from the fullest, and share what is left among the others."""
    full: set[int] = set()
    while True:
        rest = [c for c in range(len(sizes)) if c not in full]
        left = n_kept - sum(sizes[c] for c in full)
        weight = {c: math.sqrt(mass[c] * sizes[c]) for c in rest}
        total = sum(weight.values())
        parts = {c: left * weight[c] / total for c in rest}
        over = [c for c in rest if parts[c] >= sizes[c]]
        if not over:
            return [sizes[c] if c in full else math.ceil(parts[c]) for c in range(len(sizes))]
        full.add(max(over, key=lambda c: parts[c] / sizes[c]))


@pytest.mark.parametrize("beta", [0.25, 1.0, 3.0])
def test_keeps_of_each_class_what_the_library_says(beta: float, epoch_at: At, unmeasured: Unmeasured) -> None:
    n, fraction, epochs = 90, 0.4, 8
    rng = np.random.default_rng(int(beta * 4))
    labels = torch.tensor(rng.choice(10, n, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03]))
    strategy, before = load("rcap", {"fraction": fraction, "beta": beta}), set(range(n))
    for index in range(epochs):
        loss = torch.tensor(rng.exponential(size=n), dtype=torch.float32)
        stats = replace(unmeasured(n), loss=loss, label=labels)
        chosen = strategy.plan(epoch_at(n, index), stats).indices.tolist()
        numbers = torch.rand(n, generator=seeds.generator(0, "plan", "train", index), dtype=torch.float64).tolist()
        clipped = [min(float(value), math.log(10)) for value in loss]
        classes = [[i for i in range(n) if labels[i] == c] for c in sorted(set(labels.tolist()))]
        shares = [importance_slowly([clipped[i] for i in members], beta) for members in classes]
        mass = [
            sum(p for i, p in zip(members, share, strict=True) if i in before)
            for members, share in zip(classes, shares, strict=True)
        ]
        counts = counts_slowly(n - int(fraction * n), [len(members) for members in classes], mass)
        expected = []
        for members, share, count in zip(classes, shares, counts, strict=True):
            waits = {i: -math.log1p(-numbers[i]) / p for i, p in zip(members, share, strict=True)}
            expected += sorted(members, key=lambda i: waits[i])[:count]
        assert chosen == sorted(expected), index
        before = set(chosen)


def test_what_full_classes_leave_is_shared_by_the_others() -> None:
    assert shared_out(50, [2, 50, 50], [0.9, 0.1, 0.1]) == [2, 24, 24]
    assert shared_out(102, [2, 50, 50], [0.9, 0.1, 0.1]) == [2, 50, 50]
    assert sum(shared_out(10, [100] * 10, [0.0] * 10)) == 10


def test_a_class_of_high_losses_gets_more_than_its_share(epoch_at: At, unmeasured: Unmeasured) -> None:
    labels = torch.arange(100) % 2
    strategy = load("rcap", {"fraction": 0.5})
    spread = torch.where(labels == 0, torch.arange(100) / 50, 0.1)  # class 1 is even, so that its mass is what it was
    stats = replace(unmeasured(100), loss=spread, label=labels)
    counts = [
        torch.bincount(labels[strategy.plan(epoch_at(100, index), stats).indices], minlength=2).tolist()
        for index in range(6)
    ]
    assert counts[0] == [25, 25] and all(count[0] > count[1] for count in counts[1:])


def test_a_task_without_classes_is_refused_before_the_start() -> None:
    setup = TrainingSetup(n_train=100, n_classes=3, task="segmentation", epochs=2, global_batch=10)
    assert len(list(load("rcap").problems(setup))) == 1
