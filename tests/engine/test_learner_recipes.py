"""What a recipe asks of a step: its optimizer, which weights decay, clipping, and the average of the weights."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.optim.lamb import Lamb
from torch import Tensor, nn

from kbench.engine.comm import Comm
from kbench.engine.evaluate import evaluate
from kbench.engine.learner import Learner
from kbench.engine.optimizer import parameter_groups
from kbench.engine.timer import PhaseTimer
from kbench.spec.recipe import Recipe
from kbench.strategies.api import Batch
from kbench.workloads.models.build import build_model
from kbench.workloads.workload import Workload

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


# the moving average


def values(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def averaged_by_hand(workload: Workload, *, every: int, copies: int, n: int = 7) -> dict[str, Tensor]:
    """The average after ``n`` updates of which the first ``copies`` fall into the warm-up."""
    learner = learner_of(workload)
    learner.average = None
    average: dict[str, Tensor] = {}
    for i in range(n):
        step(learner, 20 * i)
        now = values(learner.module)
        if i % every == 0:
            keep = 0.0 if i == 0 or i < copies else 0.75
            average = {
                name: keep * average[name] + (1 - keep) * value if keep and value.is_floating_point() else value
                for name, value in now.items()
            }
    return average


@pytest.mark.parametrize("every, copies", [(1, 0), (1, 3), (2, 0), (3, 4), (9, 0)])
def test_the_average_follows_the_weights_and_buffers(every: int, copies: int, workload_of: Workloads) -> None:
    workload = workload_of(ema_decay=0.75, ema_every=every)
    learner = learner_of(workload)
    for i in range(7):
        learner.warming_up = i < copies
        step(learner, 20 * i)
    assert learner.average is not None
    expected = averaged_by_hand(workload, every=every, copies=copies)
    for name, value in learner.average.module.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6), name


def test_keeping_an_average_does_not_change_the_training(workload_of: Workloads) -> None:
    one, other = learner_of(workload_of()), learner_of(workload_of(ema_decay=0.9))
    for learner in (one, other):
        for i in range(3):
            step(learner, 20 * i)
    assert all(
        torch.equal(a, b) for a, b in zip(values(one.module).values(), values(other.module).values(), strict=True)
    )


def test_the_average_is_what_is_evaluated_and_the_weights_are_what_is_measured(workload_of: Workloads) -> None:
    learner = learner_of(workload_of(ema_decay=0.9))
    for i in range(5):
        step(learner, 20 * i)
    assert learner.average is not None
    batch = batch_of(learner.workload, 300)
    with torch.no_grad():
        assert torch.equal(learner.predict(batch.x), learner.average.module(batch.x))
        assert torch.equal(learner.measure(batch).loss, learner.workload.measure(learner.output(batch.x), batch.y)[0])
    assert not torch.equal(learner.predict(batch.x), learner.output(batch.x))
    scored = evaluate(learner, Comm())
    learner.module.load_state_dict(learner.average.module.state_dict())
    learner.average = None
    assert (evaluate(learner, Comm()).loss, evaluate(learner, Comm()).acc1) == (scored.loss, scored.acc1)


def test_without_an_average_the_model_itself_is_evaluated(workload_of: Workloads) -> None:
    learner = learner_of(workload_of())
    step(learner, 0)
    batch = batch_of(learner.workload, 300)
    assert torch.equal(learner.predict(batch.x), learner.output(batch.x))


@pytest.mark.parametrize("recipe", [{"ema_decay": 0.9}, {"optimizer": "lamb", "weight_decay": 0.1}], ids=str)
def test_warming_up_leaves_no_trace(recipe: dict[str, Any], workload_of: Workloads) -> None:
    cold, warm = learner_of(workload_of(**recipe)), learner_of(workload_of(**recipe))
    warm.warm_up(batch_of(warm.workload, 700))
    assert cold.digest() == warm.digest()
    for learner in (cold, warm):
        step(learner, 0)
    assert cold.digest() == warm.digest()


def test_the_digest_sees_the_average(workload_of: Workloads) -> None:
    learner = learner_of(workload_of(ema_decay=0.9))
    before = learner.digest()
    assert learner.average is not None
    learner.average.module.get_parameter("head.bias").data[0] += 1e-6
    assert learner.digest() != before


def test_buffers_of_the_average_are_averaged_over_the_ranks_too(
    workload_of: Workloads, on_threads: Callable[[int, Callable[[Comm], Any]], list[Any]]
) -> None:
    workload = workload_of(ema_decay=0.5)

    def work(comm: Comm) -> int:
        learner = learner_of(workload)
        assert learner.average is not None
        for module in (learner.module, learner.average.module):
            module.get_buffer("features.0.1.running_mean").fill_(float(comm.rank))
        learner.average_buffers(comm)
        assert set(learner.average.module.get_buffer("features.0.1.running_mean").tolist()) == {0.5}
        return learner.digest()

    assert len(set(on_threads(2, work))) == 1
