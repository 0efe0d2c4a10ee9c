"""Batch normalisation over groups: equal to torch's own on every group, and a step in parts equal to one at once."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from batchnorm_rank import trained
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kbench.engine.batchnorm import GroupedBatchNorm, with_groups
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.errors import WorkloadError
from kbench.strategies.api import AsCoded, Batch
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
Workloads = Callable[..., Workload]


def norm_of(kind: type[_BatchNorm], **options: Any) -> _BatchNorm:
    torch.manual_seed(1)
    norm = kind(5, **options).double()
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm


def grouped(norm: _BatchNorm, *, group: int, n_local: int, parts: int = 1) -> GroupedBatchNorm:
    model = nn.Sequential(copy.deepcopy(norm))
    (new,) = with_groups(model, group=group, n_local=n_local, parts=parts, comm=Comm())
    return new


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 3 + 1


@pytest.mark.parametrize(
    ("kind", "shape", "options"),
    [
        (nn.BatchNorm1d, (12, 5), {}),
        (nn.BatchNorm1d, (12, 5, 3), {"affine": False}),
        (nn.BatchNorm2d, (12, 5, 3, 2), {"momentum": None}),
        (nn.BatchNorm3d, (12, 5, 2, 2, 2), {"track_running_stats": False}),
        (BatchNormAct2d, (12, 5, 3, 2), {"momentum": 0.3}),
    ],
)
def test_every_group_is_normalised_as_torch_normalises_it_alone(
    kind: type[_BatchNorm], shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    norm = norm_of(kind, **options)
    new, parts = grouped(norm, group=4, n_local=12), [copy.deepcopy(norm) for _ in range(3)]
    x, factor = images(*shape), images(*shape).flip(0)
    ours, own = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = torch.cat([part(rows) for part, rows in zip(parts, torch.split(own, 4), strict=True)])
    actual = new(ours)
    assert torch.allclose(actual, expected)
    of_ours = torch.autograd.grad(actual, [ours, *new.parameters()], factor)
    of_own = torch.autograd.grad(expected, [own, *(value for part in parts for value in part.parameters())], factor)
    assert torch.allclose(of_ours[0], of_own[0])
    for i, gradient in enumerate(of_ours[1:]):
        assert torch.allclose(gradient, torch.stack(of_own[1 + i :: len(of_ours) - 1]).sum(0))
    for buffer, *others in zip(new.buffers(), *(part.buffers() for part in parts), strict=True):
        assert torch.allclose(buffer.double(), torch.stack(others).double().mean(0))
    assert list(new.state_dict()) == list(norm.state_dict())
    if norm.track_running_stats:
        norm.load_state_dict(new.state_dict())
        assert torch.equal(new.eval()(x), norm.eval()(x))


def test_without_gradients_the_last_group_may_be_short() -> None:
    norm = norm_of(nn.BatchNorm2d)
    new, x = grouped(norm, group=4, n_local=12), images(10, 5, 3, 2)
    with torch.no_grad():
        assert torch.allclose(new(x), torch.cat([copy.deepcopy(norm)(rows) for rows in torch.split(x, 4)]))


def test_a_batch_normalisation_of_ones_own_kind_is_refused() -> None:
    class Odd(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) + 1

    with pytest.raises(WorkloadError, match="cannot take the place of Odd at 0"):
        with_groups(nn.Sequential(Odd(5)), group=4, n_local=12, parts=1, comm=Comm())


def stepped(workload: Workload, *, weight: Tensor | None = None) -> tuple[Learner, list[Tensor]]:
    learner, losses = Learner(workload, 0, Comm()), []
    for start in (0, 48):
        index, x, y = next(workload.batches([torch.arange(start, start + 48)], key=5))
        losses.append(learner.step(Batch(index, x, y, weight), 0.05, PhaseTimer(CPU)).loss)
    return learner, losses


@pytest.mark.parametrize("accumulate", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_in_parts_is_the_step_at_once(accumulate: int, weighted: bool, workload_of: Workloads) -> None:
    weight = torch.linspace(0, 2, 48).floor() if weighted else None  # half of them count nothing
    whole, losses = stepped(workload_of(batchnorm_group=12, ema_decay=0.5), weight=weight)
    parts, same = stepped(workload_of(batchnorm_group=12, ema_decay=0.5, accumulate=accumulate), weight=weight)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(losses, same, strict=True))
    assert whole.average and parts.average
    for a, b in ((whole.module, parts.module), (whole.average.module, parts.average.module)):
        for (name, value), other in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.allclose(value.double(), other.double(), atol=2e-5), name


def test_the_same_group_as_a_rank_holds_is_torchs_own_normalisation(workload_of: Workloads) -> None:
    plain, _ = stepped(workload_of())
    named, _ = stepped(workload_of(batchnorm_group=48))
    assert named.digest() == plain.digest()


def test_parts_leave_measurements_as_they_are(workload_of: Workloads) -> None:
    learner, _ = stepped(workload_of(batchnorm_group=24, accumulate=2))
    x = next(learner.workload.batches([torch.arange(48)], key=0))[1]
    batch = Batch(torch.arange(30), x[:30], torch.zeros(30, dtype=torch.long))
    measured, outputs = learner.measure_outputs(batch)
    assert torch.allclose(measured.loss, learner.refresh(batch).loss, rtol=1e-5)
    assert len(outputs.logits) == len(outputs.features) == 30
    learner.as_coded = AsCoded(refresh_in="train")
    assert len(learner.refresh(batch).loss) == 30


def test_a_model_with_batch_normalisation_needs_a_group_to_accumulate(workload_of: Workloads) -> None:
    with pytest.raises(WorkloadError, match="accumulate 4 would leave batch normalisation 12 samples at once"):
        Learner(workload_of(accumulate=4), 0, Comm())


@pytest.fixture(scope="module")
def alone() -> list[tuple[float, float, list[float]]]:
    """What one rank trains to."""
    return trained(Comm(), group=24)


@pytest.mark.dist
@pytest.mark.parametrize("size", [2, 4])
def test_with_a_group_any_number_of_ranks_trains_equally(
    size: int, alone: list[tuple[float, float, list[float]]], tmp_path: Path
) -> None:
    # Of 48 samples in groups of 24 one rank holds two groups, two ranks hold one each, and two of four share one.
    program = str(Path(__file__).with_name("batchnorm_rank.py"))
    ranks = [
        subprocess.Popen(
            [sys.executable, program, str(rank), str(size), str(tmp_path / "store")],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
        )
        for rank in range(size)
    ]
    try:
        outputs = [rank.communicate(timeout=600)[0] for rank in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0] * size
    for output in outputs:
        for (train_loss, val_loss, known), one in zip(json.loads(output), alone, strict=True):
            assert train_loss == pytest.approx(one[0], rel=1e-4) and val_loss == pytest.approx(one[1], rel=1e-4)
            assert known == pytest.approx(one[2], rel=1e-2, abs=1e-3)


def test_the_group_is_what_makes_the_difference(alone: list[tuple[float, float, list[float]]]) -> None:
    assert trained(Comm(), group=48)[1][0] != pytest.approx(alone[1][0], rel=1e-3)
