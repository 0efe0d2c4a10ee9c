"""AutoAssist on a CUDA device: the assistant learns on a stream of its own, and nothing waits for it."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from kbench.engine.clock import PARTS, PhaseTimer
from kbench.engine.loop import Run, train
from kbench.engine.runtime.background import Background
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.strategies.api import Batch, Measured
from kbench.strategies.autoassist import Assistant, AutoAssist, untrained
from kbench.tasks.workload import Workload

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


class Watched(AutoAssist):
    """Notes on which stream the assistant learns, and that no graph is built."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.streams: set[int] = set()

    def _learn(self, batch: Batch, m: Measured) -> Assistant:
        assert not torch.is_grad_enabled()
        self.streams.add(torch.cuda.current_stream().cuda_stream)
        return super()._learn(batch, m)


@pytest.fixture
def gpu_run(workload_of: Callable[..., Workload]) -> Callable[[AutoAssist], Run]:
    """``gpu_run(AutoAssist())``: a run of two epochs on the device."""
    gpu = torch.device("cuda", 0)

    def make(strategy: AutoAssist) -> Run:
        workload = Workload(workload_of(epochs=2).pair, gpu)
        store = SampleStore(workload.n_samples, workload.n_classes, gpu)
        return Run(
            strategy=strategy, workload=workload, comm=Comm(), store=store, timer=PhaseTimer(gpu), seed=0, attempt=1
        )

    return make


def test_the_assistant_learns_on_a_stream_of_its_own(gpu_run: Callable[[AutoAssist], Run]) -> None:
    strategy = Watched()
    records = list(train(gpu_run(strategy)))
    assert strategy.streams and torch.cuda.current_stream().cuda_stream not in strategy.streams
    for record in records:
        assert record.background_s > 0
        assert sum(getattr(record, part) for part in PARTS) == pytest.approx(record.train_s, rel=0.02)


def test_the_assistant_learns_the_same_again_and_what_it_learns_on_a_cpu() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 3, 8, 8, generator=rng), torch.randint(0, 100, (64,), generator=rng)
    loss = torch.rand(64, generator=rng)

    def taught(device: torch.device) -> Assistant:
        assistant, m = untrained(x.to(device), 100), Measured(
            *(value.to(device) for value in (loss, loss < 0.5, loss, loss))
        )
        for _ in range(20):
            assistant = assistant.learnt(x.to(device), y.to(device), m, lr=1.0, l2=0.1, by_loss=True)
        return assistant

    gpu = torch.device("cuda", 0)
    for first, again, here in zip(taught(gpu), taught(gpu), taught(torch.device("cpu")), strict=True):
        assert torch.equal(first, again) and first.is_cuda
        assert torch.allclose(first.cpu(), here, atol=1e-4)


def test_giving_work_and_taking_its_result_never_waits_for_the_device() -> None:
    gpu = torch.device("cuda", 0)
    background, a = Background(gpu), torch.randn(1024, 1024, device=gpu)
    got: list[torch.Tensor] = []
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            background.give(lambda: a @ a, got.append, lag=3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    seconds = background.settle()
    assert len(got) == 20 and seconds > 0


def slow(number: torch.Tensor) -> torch.Tensor:
    torch.cuda._sleep(10_000_000)  # type: ignore[no-untyped-call]
    return number.float().expand(1000).clone()


def test_what_is_handed_over_is_ready_for_the_training() -> None:
    gpu = torch.device("cuda", 0)
    background = Background(gpu)
    sums: list[torch.Tensor] = []
    for number in range(10):
        background.give(partial(slow, torch.tensor(number, device=gpu)), lambda made: sums.append(made.sum()), lag=2)
    background.settle()
    assert [float(total) for total in sums] == [1000.0 * number for number in range(10)]
