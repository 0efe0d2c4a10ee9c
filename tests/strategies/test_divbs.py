"""DivBS against its authors' arithmetic: gradients written out, one direction after another taken from the residual."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.strategies import load
from kbench.strategies.api import Batch, Outputs
from kbench.strategies.divbs import gradient_products, spanning


def outputs_of(rng: np.random.Generator, b: int, n_classes: int, n_features: int) -> tuple[Outputs, Tensor]:
    logits = torch.tensor(rng.normal(size=(b, n_classes)) * 3, dtype=torch.float32)
    features = torch.tensor(rng.exponential(size=(b, n_features)), dtype=torch.float32)
    return Outputs(logits, features), torch.tensor(rng.integers(0, n_classes, b))


def gradients_slowly(outputs: Outputs, y: Tensor) -> Tensor:
    """(b, C * d) float64: what autograd gives for each sample's loss at the weights of a linear layer."""
    rows = []
    for logits, features, label in zip(outputs.logits, outputs.features, y, strict=True):
        weight = torch.zeros(len(logits), len(features), dtype=torch.float64, requires_grad=True)
        output = logits.double() + weight @ features.double()
        torch.nn.functional.cross_entropy(output[None], label[None]).backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        rows.append(weight.grad.flatten())
    return torch.stack(rows)


def spanned_slowly(gradients: Tensor, at: list[float]) -> list[int]:
    """As published: correlations with the residual, a draw, Gram and Schmidt, the residual without the direction."""
    residual, directions, drawn = gradients.mean(0), [], []
    for point in at:
        p = (gradients @ residual).abs()
        p[drawn] = 0
        total = p.cumsum(0)
        place = int(torch.searchsorted(total, torch.tensor(point, dtype=torch.float64) * total[-1], right=True))
        drawn.append(place)
        direction = gradients[place].clone()
        for other in directions:
            direction -= (other @ gradients[place]) * other
        direction /= direction.norm()
        directions.append(direction)
        residual = residual - (direction @ residual) * direction
    return drawn


def test_products_are_those_of_the_gradients_at_the_last_layer() -> None:
    for k in range(20):
        rng = np.random.default_rng(k)
        outputs, y = outputs_of(rng, 9, 4, 5)
        gradients = gradients_slowly(outputs, y)
        assert torch.allclose(gradient_products(outputs, y), gradients @ gradients.T, rtol=1e-4, atol=1e-6), k


def test_draws_what_the_published_arithmetic_draws() -> None:
    for k in range(200):
        rng = np.random.default_rng(k)
        gradients = torch.tensor(rng.normal(size=(24, 40)))
        at = rng.random(6)
        drawn = spanning(gradients @ gradients.T, torch.tensor(at), torch.rand(24, generator=torch.manual_seed(k)))
        assert sorted(drawn.tolist()) == sorted(spanned_slowly(gradients, at.tolist())), k


def test_where_nothing_is_left_to_span_the_rest_is_random_and_none_comes_twice() -> None:
    gradients = torch.ones(10, 3, dtype=torch.float64)  # one direction
    spare = torch.linspace(0.9, 0.0, 10)  # the last ones first
    drawn = spanning(gradients @ gradients.T, torch.tensor([0.05, 0.5, 0.5, 0.5]), spare).tolist()
    assert drawn == [0, 9, 8, 7]


def test_without_any_gradient_all_are_drawn_at_random() -> None:
    drawn = spanning(torch.zeros(6, 6, dtype=torch.float64), torch.rand(3), torch.linspace(0, 1, 6))
    assert drawn.tolist() == [0, 1, 2]


def test_keeps_its_share_of_the_candidates_unweighed(epoch_at: Any, probe_of: Any) -> None:
    strategy, rng = load("divbs", {"keep": 0.25, "candidates": 4}), np.random.default_rng(1)
    outputs, y = outputs_of(rng, 32, 10, 8)
    probe = probe_of(epoch_at(100), [], given=[outputs])
    kept = strategy.select(Batch(torch.arange(32), torch.zeros(32, 1, 2, 2), y), probe)
    assert isinstance(kept, Tensor) and kept.sum() == 8 and set(kept.tolist()) == {0.0, 1.0}


def test_keeping_all_looks_at_nothing(epoch_at: Any, probe_of: Any, batch_of: Callable[[int], Batch]) -> None:
    strategy = load("divbs", {"keep": 1.0})
    assert strategy.plan(epoch_at(100), None).candidate_batches == 1  # type: ignore[arg-type]
    assert strategy.select(batch_of(8), probe_of(epoch_at(100), [])) is None


@pytest.mark.parametrize("b", [1, 3])
def test_of_a_few_candidates_one_is_kept(b: int, epoch_at: Any, probe_of: Any) -> None:
    outputs, y = outputs_of(np.random.default_rng(2), b, 10, 8)
    kept = load("divbs").select(
        Batch(torch.arange(b), torch.zeros(b, 1, 2, 2), y), probe_of(epoch_at(100), [], given=[outputs])
    )
    assert isinstance(kept, Tensor) and kept.sum() == 1
