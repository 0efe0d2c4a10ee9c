"""What a recipe asks of a step: its optimizer, which weights decay, clipping, and the average of the weights."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.optim.lamb import Lamb
from torch import nn

from kbench.config.recipe import Recipe
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.metrics import EpochMetrics
from kbench.engine.optimizer import parameter_groups
from kbench.engine.runtime.comm import Comm
from kbench.models.build import build_model
from kbench.strategies.api import Batch, Measured
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
Workloads = Callable[..., Workload]


def learner_of(workload: Workload) -> Learner:
    return Learner(workload, 0, Comm())


def batch_of(workload: Workload, start: int, *, n: int = 20) -> Batch:
    return Batch(*next(workload.batches([torch.arange(start, start + n)], key=5)))


def step(learner: Learner, start: int, *, lr: float = 0.02) -> None:
    learner.step(batch_of(learner.workload, start), lr, PhaseTimer(CPU))


def lamb_by_hand(model: nn.Module, *, decay: float) -> Callable[[], None]:
    """LAMB (You et al., arXiv:1904.00962, with Adam's bias correction), one parameter after the other."""
    mean = [torch.zeros_like(p) for p in model.parameters()]
    square = [torch.zeros_like(p) for p in model.parameters()]
    n = 0

    @torch.no_grad()
    def update() -> None:
        nonlocal n
        n += 1
        for p, m, s in zip(model.parameters(), mean, square, strict=True):
            assert p.grad is not None
            m.mul_(0.8).add_(0.2 * p.grad)
            s.mul_(0.99).add_(0.01 * p.grad**2)
            move = (m / (1 - 0.8**n)) / ((s / (1 - 0.99**n)).sqrt() + 1e-6) + decay * p
            trust = p.norm() / move.norm() if p.norm() > 0 and move.norm() > 0 else 1.0
            p.sub_(0.02 * (trust if decay else 1.0) * move)

    return update


def plain(model: nn.Module, recipe: dict[str, Any]) -> Callable[[], None]:
    """The optimizer that a recipe means, as a user of torch would write it down."""
    decay = recipe.get("weight_decay", 0.0)
    adam = {"lr": 0.02, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": decay}
    match recipe.get("optimizer", "sgd"):
        case "adam":
            return torch.optim.Adam(model.parameters(), **adam).step
        case "adamw":
            return torch.optim.AdamW(model.parameters(), **adam).step
        case "lamb":
            return lamb_by_hand(model, decay=decay)
    more = {"momentum": 0.9} | {k: v for k, v in recipe.items() if k in ("momentum", "nesterov", "weight_decay")}
    return torch.optim.SGD(model.parameters(), lr=0.02, **more).step


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"momentum": 0.5, "nesterov": True, "weight_decay": 0.01},
        {"optimizer": "adam", "weight_decay": 0.05},
        {"optimizer": "adamw", "weight_decay": 0.05},
        {"optimizer": "lamb", "weight_decay": 0.01},
        {"label_smoothing": 0.1},
        {"max_grad_norm": 0.05},
        {"optimizer": "lamb", "weight_decay": 0.01, "max_grad_norm": 0.05},
    ],
    ids=str,
)
def test_a_step_is_the_optimizers_on_the_mean_loss(recipe: dict[str, Any], workload_of: Workloads) -> None:
    learner = learner_of(workload_of(betas=[0.8, 0.99], eps=1e-6, **recipe))
    model = copy.deepcopy(learner.module).train()
    update = plain(model, recipe)
    for start in (0, 100, 200):
        step(learner, start)
        batch = batch_of(learner.workload, start)
        model.zero_grad()
        F.cross_entropy(model(batch.x), batch.y, label_smoothing=recipe.get("label_smoothing", 0.0)).backward()
        if recipe.get("max_grad_norm"):
            norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
            assert norm > 0.05
            for p in model.parameters():
                assert p.grad is not None
                p.grad.mul_(0.05 / norm)
        update()
    for mine, theirs in zip(learner.module.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_lamb_does_not_clip_on_its_own(workload_of: Workloads) -> None:
    optimizer = learner_of(workload_of(optimizer="lamb")).optimizer
    assert isinstance(optimizer, Lamb) and optimizer.defaults["max_grad_norm"] is None


def decayed(module: nn.Module, **recipe: Any) -> dict[str, float]:
    """The weight decay of each parameter, by its name."""
    groups = parameter_groups(
        module, Recipe.model_validate({"epochs": 1, "global_batch": 1, "lr": 0.1, "weight_decay": 0.5} | recipe)
    )
    of = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    return {name: of[id(parameter)] for name, parameter in module.named_parameters()}


def test_all_parameters_decay_unless_the_recipe_exempts_some() -> None:
    assert set(decayed(build_model("resnet18-cifar", (3, 32, 32), 10)).values()) == {0.5}


def test_norms_are_exempt_where_the_recipe_says_so() -> None:
    found = decayed(build_model("resnet18-cifar", (3, 32, 32), 10), decay_exempts="norms")
    exempt = {name for name, decay in found.items() if decay == 0}
    assert exempt == {name for name in found if "bn" in name or "downsample.1" in name}
    assert found["fc.bias"] == 0.5


def test_vectors_and_what_the_model_asks_for_are_exempt_where_the_recipe_says_so() -> None:
    model = build_model("timm:deit_tiny_patch16_224", (3, 32, 32), 10)
    found = decayed(model, decay_exempts="vectors")
    matrices = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}
    assert {name for name, decay in found.items() if decay} == matrices - {"pos_embed", "cls_token"}


@pytest.mark.parametrize("exempts", ["nothing", "norms", "vectors"])
def test_every_parameter_is_trained_once_whatever_is_exempt(exempts: str) -> None:
    model = build_model("timm:deit_tiny_patch16_224", (3, 32, 32), 10)
    groups = parameter_groups(
        model, Recipe.model_validate({"epochs": 1, "global_batch": 1, "lr": 0.1, "decay_exempts": exempts})
    )
    trained = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(trained) == sorted(map(id, model.parameters()))


def test_the_loss_against_smoothed_labels_is_on_record_beside_the_plain_one(
    workload_of: Workloads, run_of: Callable[..., Run], training_of: Callable[..., Any]
) -> None:
    learner = learner_of(workload_of(label_smoothing=0.1))
    batch = batch_of(learner.workload, 0)
    output = copy.deepcopy(learner.module).train()(batch.x)
    measured = learner.step(batch, 0.02, PhaseTimer(CPU))
    assert torch.allclose(measured.loss, F.cross_entropy(output, batch.y, reduction="none"), atol=1e-5)
    smoothed = F.cross_entropy(output, batch.y, reduction="none", label_smoothing=0.1)
    assert learner.smoothed is not None and torch.allclose(learner.smoothed, smoothed, atol=1e-5)
    sums: list[float] = []
    run = run_of(epochs=1, label_smoothing=0.1)
    trained = EpochMetrics.trained

    def listening(self: EpochMetrics, measured: Measured, smoothed: torch.Tensor | None) -> None:
        assert smoothed is not None
        sums.append(float(smoothed.double().sum()))
        trained(self, measured, smoothed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochMetrics, "trained", listening)
        (record,) = train(run)
    assert record.train_loss_smoothed == pytest.approx(sum(sums) / record.n_trained)
    assert record.train_loss_smoothed != pytest.approx(record.train_loss, rel=1e-3)
    assert {each.train_loss_smoothed for each in training_of().records} == {None}
