"""A loss and a metric of one's own: what they replace, what stays the task's, and what is refused."""

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from kbench.config.recipe import Recipe
from kbench.engine.optimizer import build_optimizer
from kbench.engine.schedule import learning_rate
from kbench.errors import WorkloadError
from kbench.tasks.classification import Classification
from kbench.tasks.own import with_own

TASK = Classification(7)
OUTPUT = torch.randn(12, 7, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 7


class Recall:
    """The mean over classes of the share that is found."""

    name = "macro-recall"

    def __init__(self, n_classes: int) -> None:
        self.n_classes, self.n_counts = n_classes, 2 * n_classes

    def counts(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        hits = y[output.argmax(1) == y]
        return torch.cat([torch.bincount(each, minlength=self.n_classes) for each in (hits, y)])

    def score(self, totals: torch.Tensor) -> torch.Tensor:
        hits, n = totals.view(2, -1)
        return (hits / n).mean()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("own_parts")
    module.Recall = Recall
    module.squared = lambda output, y: F.mse_loss(output, F.one_hot(y, 7).float(), reduction="none").sum(1)
    monkeypatch.setitem(sys.modules, "own_parts", module)
    return module


def recipe(**keys: object) -> Recipe:
    return Recipe.model_validate({"epochs": 4, "global_batch": 4, "lr": 0.2, **keys})


def test_without_ones_own_the_task_is_itself() -> None:
    assert with_own(TASK, recipe(), 7) is TASK


def test_a_loss_trains_and_what_strategies_see_stays_the_cross_entropy(own: ModuleType) -> None:
    task = with_own(TASK, recipe(loss="own_parts:squared"), 7)
    assert torch.equal(task.criterion(OUTPUT, Y, label_smoothing=0.0), own.squared(OUTPUT, Y))
    assert all(torch.equal(a, b) for a, b in zip(task.measure(OUTPUT, Y), TASK.measure(OUTPUT, Y), strict=True))
    assert (task.metric, task.hits) == ("top1", TASK.hits)


def test_a_metric_adds_up_over_batches_and_takes_the_place_of_the_accuracy(own: ModuleType) -> None:
    task = with_own(TASK, recipe(metric="own_parts:Recall"), 7)
    parts = [task.counts(OUTPUT[part], Y[part]) for part in (slice(0, 5), slice(5, 12))]
    scores, plain = task.scores(sum(parts)), TASK.scores(TASK.counts(OUTPUT, Y))
    found = [(OUTPUT[Y == c].argmax(1) == c).float().mean() for c in range(7)]
    assert scores.val_acc1 == pytest.approx(float(torch.stack(found).mean()))
    assert (scores.val_loss, scores.val_acc5) == (pytest.approx(plain.val_loss), plain.val_acc5)
    assert (task.metric, task.hits) == ("macro-recall", None)


def test_what_keeps_to_no_contract_is_refused(own: ModuleType) -> None:
    own.mean, own.linear, own.nameless = (lambda *_: torch.tensor(1.0)), torch.nn.Linear(7, 1), 3
    own.Above = type("Above", (Recall,), {"score": lambda *_: 1.5})
    own.Short = type("Short", (Recall,), {"counts": lambda *_: torch.zeros(3)})
    with pytest.raises(WorkloadError, match="one number for each of 12 samples"):
        with_own(TASK, recipe(loss="own_parts:mean"), 7).criterion(OUTPUT, Y, label_smoothing=0.0)
    with pytest.raises(WorkloadError, match="have no parameters to train"):
        with_own(TASK, recipe(loss="own_parts:linear"), 7)
    with pytest.raises(WorkloadError, match="has no name, n_counts, counts, score"):
        with_own(TASK, recipe(metric="own_parts:nameless"), 7)
    above, short = (with_own(TASK, recipe(metric=f"own_parts:{name}"), 7) for name in ("Above", "Short"))
    with pytest.raises(WorkloadError, match=r"must be in \[0, 1\], higher is better, got 1.5"):
        above.scores(above.counts(OUTPUT, Y))
    with pytest.raises(WorkloadError, match=r"must count 14 numbers, got \[3\]"):
        short.counts(OUTPUT, Y)


def test_a_schedule_of_ones_own_comes_after_the_warm_up(own: ModuleType) -> None:
    own.halves = lambda passed: 1 - passed / 2
    own.below = lambda passed: -1
    warm = recipe(schedule="own_parts:halves", warmup_epochs=1.0)
    assert [learning_rate(warm, at) for at in (0.0, 0.125, 0.5, 1.0)] == pytest.approx([0.0, 0.1, 0.15, 0.1])
    with pytest.raises(WorkloadError, match="must return a factor of the learning rate, 0 or more, got -1"):
        learning_rate(recipe(schedule="own_parts:below"), 0.5)


def test_an_optimizer_of_ones_own_gets_the_groups_and_the_rate(own: ModuleType) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    own.RAdam, own.wrong = torch.optim.RAdam, lambda groups, lr: None
    optimizer = build_optimizer(module, recipe(optimizer="own_parts:RAdam", weight_decay=0.1, decay_exempts="norms"))
    assert isinstance(optimizer, torch.optim.RAdam)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.2, 0.1), (0.2, 0.0)]
    with pytest.raises(WorkloadError, match="must be a torch.optim.Optimizer, got NoneType"):
        build_optimizer(module, recipe(optimizer="own_parts:wrong"))
