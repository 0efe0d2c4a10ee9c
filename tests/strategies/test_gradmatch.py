"""GradMatch against orthogonal matching pursuit written out with the gradients themselves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, Outputs, SampleStats
from kbench.strategies.batch_gradients import mean_gradient

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


def pursued_slowly(gradients: np.ndarray[Any, Any], n_chosen: int, lam: float) -> dict[int, float]:
    """As published: the next atom, the regularised solution, the lowest thrown out while one is below zero."""
    target = gradients.sum(0)
    residual, chosen, weight = target.copy(), [], np.zeros(0)
    for _ in range(n_chosen):
        if np.linalg.norm(residual) <= 1e-4 * np.linalg.norm(target):
            break
        best = int((gradients @ residual).argmax())
        if best in chosen:
            break
        chosen = [*chosen, best]
        while chosen:
            own = gradients[chosen]
            weight = np.linalg.solve(own @ own.T + lam * np.eye(len(chosen)), own @ target)
            if weight.min() >= 0:
                break
            chosen.pop(int(weight.argmin()))
        residual = target - weight @ gradients[chosen]
    return dict(zip(chosen, weight.tolist(), strict=True))


@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_chooses_and_weighs_groups_as_published(lam: float) -> None:
    strategy: Any = load("gradmatch", {"lam": lam})
    for k in range(100):
        rng = np.random.default_rng(k)
        gradients = rng.normal(size=(20, 30)) + rng.normal(size=30) * (k % 3)
        chosen = strategy.choose(torch.tensor(gradients), 12)
        expected = np.zeros(20)
        for group, weight in pursued_slowly(gradients, 12, lam).items():
            expected[group] = weight
        assert np.allclose(chosen.numpy(), expected, rtol=1e-6, atol=1e-8), k


def test_two_groups_of_one_gradient_do_not_stop_it() -> None:
    strategy: Any = load("gradmatch")
    gradients = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    weights = strategy.choose(gradients, 3)
    assert torch.allclose(weights @ gradients, gradients.sum(0))


def remembered(rng: np.random.Generator, n: int) -> tuple[Tensor, Outputs, Tensor]:
    """Memory of n samples of ten classes, the outputs that it comes from, and their labels."""
    outputs = Outputs(
        torch.tensor(rng.normal(size=(n, 10))).float(), torch.tensor(rng.exponential(size=(n, 6))).float()
    )
    labels = torch.tensor(rng.integers(0, 10, n))
    batch = Batch(torch.arange(n), torch.zeros(n, 1, 2, 2), labels)
    return load("gradmatch").remember(batch, outputs), outputs, labels


def test_the_mean_gradient_of_a_group_is_that_of_autograd() -> None:
    memory, outputs, labels = remembered(np.random.default_rng(3), 7)
    layer = torch.nn.Linear(6, 10).double()
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    logits = layer(outputs.features.double()) + outputs.logits.double()
    torch.nn.functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None and layer.bias.grad is not None
    expected = torch.cat([layer.weight.grad, layer.bias.grad[:, None]], dim=1).flatten()
    assert torch.allclose(mean_gradient(memory[:, :10], memory[:, 10:]), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["gradmatch", "craig"])
@pytest.mark.parametrize("n", [200, 203])
def test_every_few_epochs_everything_is_measured_and_a_share_of_it_chosen(
    name: str, n: int, epoch_at: At, unmeasured: Unmeasured
) -> None:
    strategy = load(name, {"fraction": 0.3, "every": 3, "group": 10})
    memory, *_ = remembered(np.random.default_rng(5), n)
    stats, chosen = replace(unmeasured(n), memory=memory), []
    n_kept = n - int(0.3 * n)
    for index in range(8):
        plan = strategy.plan(epoch_at(n, index), stats)
        assert (plan.refresh is not None) == (index % 3 == 0)
        chosen.append(plan.indices.tolist())
        if index:
            assert n_kept <= len(plan.indices) < n_kept + 10 and plan.weights is not None
            assert float(plan.weights[plan.indices].mean()) == pytest.approx(1, abs=1e-5)
            assert bool((plan.weights[plan.indices] > 0).all())
    assert chosen[0] == list(range(n))
    assert chosen[1] == chosen[2] == chosen[3] and chosen[4] == chosen[5] == chosen[6]
    assert chosen[3] != chosen[4] and chosen[6] != chosen[7]


@pytest.mark.parametrize("name", ["gradmatch", "craig"])
def test_leaving_nothing_out_remembers_and_measures_nothing(name: str, epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = load(name, {"fraction": 0.0})
    assert strategy.memory_width(10, 64) == 0 and load(name).memory_width(10, 64) == 74
    plan = strategy.plan(epoch_at(50, 0), unmeasured(50))
    assert plan.refresh is None and plan.weights is None and len(plan.indices) == 50
