"""What only a CUDA device can show: its clock, its memory, and that nothing waits for it between steps."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from kbench.data.views.augment import augmented
from kbench.data.views.hashed_random import uniform
from kbench.engine.clock import PARTS, PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.metrics import EpochMetrics
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.records.schema import EpochRecord
from kbench.strategies import load
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.fixture
def gpu() -> torch.device:
    return torch.device("cuda", 0)


@pytest.fixture
def gpu_run(gpu: torch.device, workload_of: Callable[..., Workload]) -> Callable[..., Run]:
    """``gpu_run("sb", {})``: a run on the device."""

    def make(name: str = "baseline", params: dict[str, Any] | None = None, **recipe: Any) -> Run:
        workload = Workload(workload_of(**recipe).pair, gpu)
        store = SampleStore(workload.n_samples, workload.n_classes, gpu)
        strategy, timer = load(name, params), PhaseTimer(gpu)
        return Run(strategy=strategy, workload=workload, comm=Comm(), store=store, timer=timer, seed=0, attempt=1)

    return make


@pytest.fixture
def syncs_are_errors() -> Iterator[Callable[[], None]]:
    """Call it, and from then on waiting for the device is an error."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


def test_parts_of_an_epoch_on_the_device_add_up(gpu: torch.device) -> None:
    timer, whole = PhaseTimer(gpu), [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    a = torch.randn(2048, 2048, device=gpu)
    torch.cuda.synchronize()
    whole[0].record()
    timer.start()
    for i in range(64):
        a = (a @ a).tanh()
        timer.lap(PARTS[i % len(PARTS)])
    whole[1].record()
    parts = timer.stop()
    torch.cuda.synchronize()
    assert sum(parts.values()) == pytest.approx(whole[0].elapsed_time(whole[1]) / 1000, rel=0.02)
    assert min(parts.values()) > 0


def test_a_second_epoch_on_the_device_starts_afresh(gpu: torch.device) -> None:
    timer = PhaseTimer(gpu)
    for part in ("data_s", "update_s"):
        timer.start()
        timer.lap(part)
        assert [name for name, seconds in timer.stop().items() if seconds] == [part]


def test_steps_of_the_baseline_never_wait_for_the_device(
    gpu: torch.device, gpu_run: Callable[..., Run], syncs_are_errors: Callable[[], None]
) -> None:
    run = gpu_run()
    learner = Learner(run.workload, 0, run.comm)
    metrics = EpochMetrics(gpu, run.comm, run.workload.recipe.global_batch, run.monitor)
    ids = torch.arange(480, device=gpu).split(48)
    index, x, y = next(run.workload.batches(ids[:1], key=0))
    learner.warm_up(Batch(index, x, y))
    metrics.start(run.timer)
    torch.cuda.synchronize()
    syncs_are_errors()
    for index, x, y in run.workload.batches(ids, key=1):
        batch = Batch(index, x, y)
        run.timer.lap("data_s")
        measured = learner.step(batch, 0.05, run.timer)
        run.store.write(batch.index, measured)
        metrics.trained(measured, learner.smoothed)
        run.timer.lap("select_s")
    torch.cuda.set_sync_debug_mode("default")
    run.store.merge(run.comm)
    assert int(run.store.view().known.sum()) == 480


def test_the_memory_of_samples_lies_on_the_device(gpu: torch.device, gpu_run: Callable[..., Run]) -> None:
    store = gpu_run().store
    stats = store.view()
    tensors = (store.values, store.age, store.written, stats.loss, stats.correct, stats.confidence, stats.age)
    assert {tensor.device for tensor in tensors} == {gpu}


def test_a_sample_looks_the_same_on_every_kind_of_device(gpu: torch.device) -> None:
    ids = torch.arange(5000)
    x = torch.rand(5000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniform(7, ids.to(gpu), 3).cpu(), uniform(7, ids, 3))
    there = augmented(x.to(gpu), ids.to(gpu), how="shift", key=7).cpu()
    assert torch.equal(there, augmented(x, ids, how="shift", key=7))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("baseline", {}),
        ("random", {}),
        ("iswr", {}),
        ("forget", {"score_epochs": 1}),
        ("sb", {}),
        ("kakurenbo", {"confidence": 0.3}),
    ],
)
def test_runs_on_the_device_count_and_time_as_on_a_cpu(
    name: str, params: dict[str, Any], gpu_run: Callable[..., Run]
) -> None:
    records: list[EpochRecord] = list(train(gpu_run(name, params, epochs=2)))
    for record in records:
        assert sum(getattr(record, part) for part in PARTS) == pytest.approx(record.train_s, rel=0.02)
        assert record.n_trained % 48 == 0 and record.peak_mem_bytes > 0
    assert records[-1].val_acc1 > 0.5


def test_the_baseline_on_the_device_learns_what_it_learns_on_a_cpu(
    gpu_run: Callable[..., Run], training_of: Callable[..., Any]
) -> None:
    here, there = training_of(epochs=2).records, list(train(gpu_run(epochs=2)))
    assert [r.train_loss for r in there] == pytest.approx([r.train_loss for r in here], rel=0.05)


def test_plans_do_not_depend_on_the_device(gpu: torch.device, gpu_run: Callable[..., Run]) -> None:
    from kbench.engine import seeds
    from kbench.strategies.api import Epoch, SampleStats

    rng, n = torch.Generator().manual_seed(0), 1000
    loss = torch.rand(n, generator=rng).mul(20).round() / 20  # many ties
    here = SampleStats(loss, loss < 0.7, torch.exp(-loss), loss / 3, torch.zeros(n, dtype=torch.int16))
    there = SampleStats(*(t.to(gpu) for t in (here.loss, here.correct, here.confidence, here.error_norm, here.age)))
    epoch = Epoch(
        phase="train",
        index=1,
        epochs=3,
        n_samples=n,
        n_classes=10,
        warmup=False,
        device=torch.device("cpu"),
        rng=seeds.generator(0, "plan"),
    )
    for name in ("baseline", "random", "kakurenbo"):
        ours = load(name).plan(replace(epoch, rng=seeds.generator(0, "plan")), here)
        theirs = load(name).plan(replace(epoch, device=gpu, rng=seeds.generator(0, "plan")), there)
        assert torch.equal(theirs.indices.cpu(), ours.indices), name
        assert theirs.digest() == ours.digest(), name
