"""The moving average of the weights: it follows the training, changes nothing of it, and is what is evaluated."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kbench.engine.clock import PhaseTimer
from kbench.engine.evaluate import evaluate
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
Workloads = Callable[..., Workload]


def learner_of(workload: Workload) -> Learner:
    return Learner(workload, 0, Comm())


def batch_of(workload: Workload, start: int, *, n: int = 20) -> Batch:
    return Batch(*next(workload.batches([torch.arange(start, start + n)], key=5)))


def step(learner: Learner, start: int, *, lr: float = 0.02) -> None:
    learner.step(batch_of(learner.workload, start), lr, PhaseTimer(CPU))


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
    learners = [learner_of(workload_of(ema_decay=0.5)) for _ in range(2)]  # not in threads, which share a random stream

    def work(comm: Comm) -> int:
        learner = learners[comm.rank]
        assert learner.average is not None
        for module in (learner.module, learner.average.module):
            module.get_buffer("features.0.1.running_mean").fill_(float(comm.rank))
        learner.average_buffers(comm)
        assert set(learner.average.module.get_buffer("features.0.1.running_mean").tolist()) == {0.5}
        return learner.digest()

    assert len(set(on_threads(2, work))) == 1
