"""CRAIG against a greedy facility location that tries every group in turn."""

from typing import Any

import numpy as np
import torch

from kbench.strategies import load


def located_slowly(gradients: np.ndarray[Any, Any], n_chosen: int) -> list[float]:
    """Add the group that raises the sum of likenesses to the nearest most; weigh by how many are nearest to it."""
    m = len(gradients)
    distance = [[float(np.linalg.norm(a - b)) for b in gradients] for a in gradients]
    largest = max(map(max, distance))
    likeness = [[largest - d for d in row] for row in distance]

    def worth(groups: list[int]) -> float:
        return sum(max(likeness[i][j] for j in groups) for i in range(m))

    chosen: list[int] = []
    for _ in range(n_chosen):
        chosen.append(max((j for j in range(m) if j not in chosen), key=lambda j: round(worth([*chosen, j]), 7)))
    weights = [0.0] * m
    for i in range(m):
        weights[max(chosen, key=lambda j: likeness[i][j])] += 1
    return weights


def test_chooses_and_weighs_groups_as_the_greedy_search_does() -> None:
    strategy: Any = load("craig")
    for k in range(60):
        rng = np.random.default_rng(k)
        gradients = rng.normal(size=(14, 5)) * rng.exponential(size=(14, 1))
        chosen = strategy.choose(torch.tensor(gradients), 1 + k % 14)
        assert chosen.tolist() == located_slowly(gradients, 1 + k % 14), k


def test_the_weights_stand_for_all_groups() -> None:
    strategy: Any = load("craig")
    gradients = torch.randn(40, 8, dtype=torch.float64, generator=torch.manual_seed(1))
    assert [float(strategy.choose(gradients, k).sum()) for k in (1, 7, 40)] == [40.0] * 3
