"""Evaluation: every validation sample once, sums divided once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kbench.engine.clock import PhaseTimer
from kbench.engine.evaluate import evaluate
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Batch
from kbench.tasks.classification import Classification
from kbench.tasks.segmentation import CLASS_WEIGHT, Segmentation
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
OnThreads = Callable[[int, Callable[[Comm], Any]], list[Any]]


def trained(workload: Workload) -> Learner:
    """A learner that has begun to learn."""
    learner = Learner(workload, 0, Comm())
    for start in range(0, 20 * 48, 48):
        index, x, y = next(workload.batches([torch.arange(start, start + 48)], key=0))
        learner.step(Batch(index, x, y), 0.05, PhaseTimer(CPU))
    return learner


@pytest.mark.parametrize("global_batch", [7, 48, 1442])
def test_scores_are_those_of_the_whole_set_at_once(global_batch: int, workload_of: Callable[..., Workload]) -> None:
    workload = workload_of(global_batch=global_batch)
    learner = trained(workload)
    score = evaluate(learner, Comm())
    with torch.no_grad():
        logits, y = learner.module.eval()(workload.val.x), workload.val.y
    assert score.loss == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-5)
    assert score.acc1 == float((logits.argmax(1) == y).double().mean())
    assert score.acc5 == float((logits.topk(5).indices == y[:, None]).any(1).double().mean())
    assert 0.2 < score.acc1 < score.acc5 < 1 or score.acc5 == 1
    right = (logits.argmax(1) == y).double()
    assert score.acc_classes == tuple(float(right[y == c].mean()) for c in range(10))
    assert score.acc_worst == min(float(right[y == c].mean()) for c in range(10)) < score.acc1


@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_scores_are_the_same_for_any_number_of_ranks(
    size: int, workload_of: Callable[..., Workload], on_threads: OnThreads
) -> None:
    workload = workload_of(global_batch=84)
    learner = trained(workload)
    learner.module.eval()
    alone = evaluate(learner, Comm(), with_hits=True)
    for score in on_threads(size, lambda comm: evaluate(learner, comm, with_hits=True)):
        assert score.hits is not None and torch.equal(score.hits, alone.hits)
        assert (score.acc1, score.acc5) == (alone.acc1, alone.acc5)
        assert (score.acc_worst, score.acc_classes) == (alone.acc_worst, alone.acc_classes)
        assert score.loss == pytest.approx(alone.loss, rel=1e-6)


def test_hits_are_those_of_each_sample_in_the_order_of_the_set(workload_of: Callable[..., Workload]) -> None:
    workload = workload_of(global_batch=7)
    learner = trained(workload)
    score = evaluate(learner, Comm(), with_hits=True)
    with torch.no_grad():
        right = learner.module.eval()(workload.val.x).argmax(1) == workload.val.y
    assert score.hits is not None and score.hits.bool().tolist() == right.tolist()
    assert int(score.hits.sum()) / len(workload.val) == score.acc1
    assert evaluate(learner, Comm()).hits is None


def test_segmentation_has_no_hits_and_no_classes_of_samples() -> None:
    task = Segmentation(CLASS_WEIGHT)
    assert task.hits is None
    scores = task.scores(torch.ones(task.n_counts, dtype=torch.float64))
    assert (scores.val_acc_worst, scores.val_acc_classes) == (None, None)


def test_a_class_without_samples_has_no_accuracy_and_is_not_the_worst() -> None:
    task, y = Classification(6), torch.tensor([0, 0, 3, 3, 3, 3])
    answers = torch.tensor([0, 1, 3, 3, 3, 1])
    scores = task.scores(task.counts(F.one_hot(answers, 6).float(), y))
    assert scores.val_acc_classes == (0.5, None, None, 0.75, None, None)
    assert scores.val_acc_worst == 0.5 and scores.val_acc1 == 4 / 6


def test_more_than_a_thousand_classes_are_not_listed_but_the_worst_is_known() -> None:
    for n_classes in (1000, 1001):
        task, y = Classification(n_classes), torch.arange(n_classes)
        scores = task.scores(task.counts(torch.eye(n_classes), (y + (y == 7)).clamp_max(n_classes - 1)))
        assert (scores.val_acc_classes is None) == (n_classes > 1000)
        assert scores.val_acc_worst == 0.5  # sample 7 is shown as an 8


def test_evaluation_leaves_the_model_alone(workload_of: Callable[..., Workload]) -> None:
    learner = trained(workload_of())
    before = learner.digest()
    evaluate(learner, Comm())
    assert learner.digest() == before


def test_top_5_of_five_classes_or_fewer_says_nothing(
    workload_of: Callable[..., Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = workload_of(lr=0.011)
    monkeypatch.setattr(workload, "task", Classification(5))
    for part in ("train", "val"):
        data = getattr(workload, part)
        few = data.y < 5
        monkeypatch.setattr(workload, part, type(data)(data.x[few], data.y[few]))
    score = evaluate(Learner(workload, 0, Comm()), Comm())
    assert score.acc5 is None and 0 <= score.acc1 <= 1
