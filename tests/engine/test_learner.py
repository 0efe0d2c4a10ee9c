"""A model in training: fresh weights, one step, one look."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.engine.seeds import stream
from kbench.models.digits import DigitsCNN
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
Workloads = Callable[..., Workload]


def learner_of(workload: Workload, *, seed: int = 0) -> Learner:
    return Learner(workload, seed, Comm())


def batch_of(workload: Workload, ids: list[int], weight: list[float] | None = None) -> Batch:
    index, x, y = next(workload.batches([torch.tensor(ids)], key=5))
    return Batch(index, x, y, None if weight is None else torch.tensor(weight))


def state(learner: Learner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def steps(learner: Learner, workload: Workload, *, n: int = 3) -> list[float]:
    """Take steps and tell the mean loss of each."""
    timer = PhaseTimer(CPU)
    batches = [batch_of(workload, list(range(48 * i, 48 * i + 48))) for i in range(n)]
    return [float(learner.step(batch, 0.05, timer).loss.mean()) for batch in batches]


def test_weights_are_those_of_the_seeds_stream(workload_of: Workloads) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(stream(4, "weights"))
        expected = DigitsCNN((1, 8, 8), 10)
    assert same(state(learner_of(workload_of(), seed=4)), expected.state_dict())


def test_a_second_phase_starts_from_the_same_weights(workload_of: Workloads) -> None:
    first, second = (learner_of(workload_of()) for _ in range(2))
    assert first.digest() == second.digest()


def test_another_seed_starts_from_other_weights(workload_of: Workloads) -> None:
    assert learner_of(workload_of(), seed=0).digest() != learner_of(workload_of(), seed=1).digest()


def test_making_a_learner_leaves_the_global_random_stream_alone(workload_of: Workloads) -> None:
    before = torch.get_rng_state()
    learner_of(workload_of())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("part", ["features.0.0.weight", "features.1.1.running_var", "head.bias"])
def test_the_digest_sees_the_last_bit_of_weights_and_buffers(part: str, workload_of: Workloads) -> None:
    learner = learner_of(workload_of())
    before = learner.digest()
    value = learner.module.state_dict()[part].view(-1)
    value[-1] = torch.nextafter(value[-1], torch.tensor(9.0))
    assert learner.digest() != before


def test_weights_of_samples_multiply_their_losses(workload_of: Workloads) -> None:
    workload = workload_of(momentum=0.0)
    weight = [2.0, 0.5, 0.0, 1.0]
    learner = learner_of(workload)
    model = copy.deepcopy(learner.module).train()
    batch = batch_of(workload, [1, 2, 3, 4], weight)
    learner.step(batch, 0.1, PhaseTimer(CPU))
    (F.cross_entropy(model(batch.x), batch.y, reduction="none") * torch.tensor(weight)).sum().div(4).backward()
    for mine, plain in zip(learner.module.parameters(), model.parameters(), strict=True):
        assert plain.grad is not None and torch.allclose(mine, plain - 0.1 * plain.grad, atol=1e-6)


def test_weights_of_samples_do_not_change_what_is_measured(workload_of: Workloads) -> None:
    ids = list(range(8))
    plain = learner_of(workload_of()).step(batch_of(workload_of(), ids), 0.1, PhaseTimer(CPU))
    weighted = learner_of(workload_of()).step(batch_of(workload_of(), ids, [3.0] * 8), 0.1, PhaseTimer(CPU))
    assert torch.equal(plain.loss, weighted.loss)


def test_a_step_measures_before_its_update(workload_of: Workloads) -> None:
    workload = workload_of()
    learner = learner_of(workload)
    model = copy.deepcopy(learner.module).train()
    batch = batch_of(workload, list(range(30)))
    measured = learner.step(batch, 10.0, PhaseTimer(CPU))
    loss = F.cross_entropy(model(batch.x), batch.y, reduction="none")
    assert torch.allclose(measured.loss, loss, atol=1e-6)
    assert not measured.loss.requires_grad and not measured.confidence.requires_grad


def test_a_look_changes_neither_weights_nor_buffers(workload_of: Workloads) -> None:
    workload = workload_of()
    learner = learner_of(workload)
    steps(learner, workload)
    before = state(learner)
    learner.measure(batch_of(workload, list(range(100))))
    assert same(state(learner), before)


def test_a_look_is_in_evaluation_mode(workload_of: Workloads) -> None:
    workload = workload_of()
    learner = learner_of(workload)
    steps(learner, workload)
    together = learner.measure(batch_of(workload, list(range(10))))
    alone = [learner.measure(batch_of(workload, [i])) for i in range(10)]  # BatchNorm would see the company
    assert torch.allclose(together.loss, torch.cat([one.loss for one in alone]), atol=1e-5)


def test_a_look_leaves_no_graph(workload_of: Workloads) -> None:
    measured = learner_of(workload_of()).measure(batch_of(workload_of(), [1, 2]))
    assert not measured.loss.requires_grad and not measured.confidence.requires_grad


def test_looking_between_steps_does_not_change_the_training(workload_of: Workloads) -> None:
    workload = workload_of()
    quiet, looking = learner_of(workload), learner_of(workload)
    for start in (0, 48):
        batch = batch_of(workload, list(range(start, start + 48)))
        quiet.step(batch, 0.05, PhaseTimer(CPU))
        looking.measure(batch_of(workload, list(range(500, 600))))
        looking.step(batch, 0.05, PhaseTimer(CPU))
    assert quiet.digest() == looking.digest()


@pytest.mark.parametrize("recipe", [{}, {"optimizer": "adamw"}, {"weight_decay": 0.1}], ids=str)
def test_warming_up_leaves_weights_and_buffers_alone(recipe: dict[str, Any], workload_of: Workloads) -> None:
    workload = workload_of(**recipe)
    learner = learner_of(workload)
    before = state(learner)
    learner.warm_up(batch_of(workload, list(range(48))))
    assert same(state(learner), before)


@pytest.mark.parametrize("recipe", [{}, {"optimizer": "adamw", "weight_decay": 0.05}], ids=str)
def test_warming_up_leaves_no_trace_in_the_training(recipe: dict[str, Any], workload_of: Workloads) -> None:
    workload = workload_of(**recipe)
    cold, warm = learner_of(workload), learner_of(workload)
    warm.warm_up(batch_of(workload, list(range(700, 748))))
    assert steps(cold, workload) == steps(warm, workload)
    assert cold.digest() == warm.digest()


def test_bf16_trains_like_fp32_but_for_rounding(workload_of: Workloads) -> None:
    exact, rounded = (steps(learner_of(workload_of(precision=p)), workload_of(precision=p)) for p in ("fp32", "bf16"))
    assert rounded == pytest.approx(exact, rel=0.05) and rounded != exact


def test_bf16_keeps_weights_in_single_precision_and_measures_in_it(workload_of: Workloads) -> None:
    workload = workload_of(precision="bf16")
    learner = learner_of(workload)
    batch = batch_of(workload, list(range(20)))
    for measured in (learner.step(batch, 0.05, PhaseTimer(CPU)), learner.measure(batch)):
        assert measured.loss.dtype == measured.confidence.dtype == torch.float32
    assert {p.dtype for p in learner.module.parameters()} == {torch.float32}


def test_channels_last_gives_the_same_numbers(workload_of: Workloads) -> None:
    here, there = (workload_of(channels_last=last) for last in (False, True))
    assert steps(learner_of(there), there) == pytest.approx(steps(learner_of(here), here), rel=1e-4)


def test_channels_last_lays_out_the_weights(workload_of: Workloads) -> None:
    weight = learner_of(workload_of(channels_last=True)).module.get_parameter("features.1.0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
