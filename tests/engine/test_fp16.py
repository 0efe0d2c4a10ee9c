"""Half precision with a scaled loss: the steps of torch's own scaler, and what it leaves out."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
Workloads = Callable[..., Workload]


def batches_of(workload: Workload, n: int) -> list[Batch]:
    ids = torch.split(torch.arange(48 * n), 48)
    return [Batch(*parts) for parts in workload.batches(ids, key=5)]


def steps(learner: Learner, batches: list[Batch]) -> list[float]:
    return [float(learner.step(batch, 0.05, PhaseTimer(CPU)).loss.mean()) for batch in batches]


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_steps_are_those_of_torchs_scaler(clip: float, workload_of: Workloads) -> None:
    learner = Learner(workload_of(precision="fp16", max_grad_norm=clip), 0, Comm())
    model = copy.deepcopy(learner.module)
    batches = batches_of(learner.workload, 4)
    here = steps(learner, batches)
    scaler, plain = torch.amp.GradScaler("cpu"), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for batch in batches:
        with torch.autocast("cpu", torch.float16):
            output = model(batch.x)
        loss = F.cross_entropy(output.float(), batch.y)
        plain.append(loss.item())
        optimizer.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if clip:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
    assert here == pytest.approx(plain, abs=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), learner.module.parameters(), strict=True))
    assert all(p.dtype == torch.float32 for p in learner.module.parameters())


def test_an_infinite_gradient_moves_nothing_halves_the_scale_and_counts(workload_of: Workloads) -> None:
    learner = Learner(workload_of(precision="fp16"), 0, Comm())
    learner.scaler.scale(torch.zeros(1))  # it begins when it is first used
    learner.scaler.update(2.0**126)
    before = copy.deepcopy(learner.module)
    steps(learner, batches_of(learner.workload, 1))
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), learner.module.parameters(), strict=True))
    assert (learner.scaler.get_scale(), learner.n_updates) == (2.0**125, 1)


def test_the_scale_is_in_a_checkpoint(workload_of: Workloads) -> None:
    workload = workload_of(precision="fp16")
    first, second = Learner(workload, 0, Comm()), Learner(workload, 1, Comm())
    steps(first, batches_of(workload, 1))
    first.scaler.update(1024.0)
    second.restore(copy.deepcopy(first.state()))
    assert second.scaler.get_scale() == 1024.0
    assert steps(first, batches_of(workload, 2)) == steps(second, batches_of(workload, 2))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_precisions_scale_nothing(precision: str, workload_of: Workloads) -> None:
    learner = Learner(workload_of(precision=precision), 0, Comm())
    assert not learner.scaler.is_enabled() and learner.state()["scaler"] == {}
