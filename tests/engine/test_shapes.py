"""Which shapes the forward passes of each strategy see while the clock runs: none that was not seen before it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from strategy_needs import NEEDED
from torch import Tensor, nn

from kbench.data.views.spec import ViewedBatch
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.strategies import STRATEGIES
from kbench.strategies.api import AsCoded, Batch
from kbench.tasks.workload import Workload

Runs = Callable[..., Run]
SIZE = 48
# What makes each strategy take its extra passes within three epochs; epochs of unequal length with several candidates.
PARAMS: dict[str, dict[str, object]] = {
    **NEEDED,
    "kf18": {"threshold": 0.0, "presample": 4},
    "divbs": {"keep": 0.5, "candidates": 4},
    "dual": {"score_epochs": 2, "window": 2},
    "sb-stale": {"every": 1},
    "forget": {"score_epochs": 1},
    "rho-loss": {"keep": 0.25},
    "kakurenbo": {"milestones": [2], "shares": [1.0, 0.5]},
}
# [sample] of passes: of 30 and of 15 batches, by four.  Validation, off the clock, takes 192 and 163.
ON_CLOCK = {"kf18": {48, 192, 96}, "divbs": {48, 192, 96}, "rho-loss": {48, 192, 144}}


class ShapeTimer(PhaseTimer):
    """Tells passes on the clock from those off it."""

    def __init__(self, passes: list[tuple[bool, int]]) -> None:
        super().__init__(torch.device("cpu"))
        self.passes, self.is_running = passes, False
        self.before: set[tuple[bool, int]] = set()  # (mode, size) that was seen off the clock
        self.cold: list[tuple[bool, int]] = []  # that was new on the clock
        self.sizes: set[int] = set()  # [sample] on the clock

    def start(self) -> None:
        self._settle(on_clock=False)
        super().start()

    def lap(self, part: str) -> None:
        self._settle(on_clock=self.is_running)
        super().lap(part)

    def skip(self) -> None:
        self._settle(on_clock=False)
        super().skip()

    def stop(self) -> dict[str, float]:
        self.is_running = False
        return super().stop()

    def _settle(self, *, on_clock: bool) -> None:
        if on_clock:
            self.cold += [seen for seen in self.passes if seen not in self.before]
            self.sizes |= {size for _, size in self.passes}
        self.before |= set(self.passes)
        self.passes.clear()


@pytest.fixture
def shapes_of(run_of: Runs, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ShapeTimer]:
    """Train a strategy for three epochs and watch its model."""

    def watched(name: str, **recipe: Any) -> ShapeTimer:
        run = run_of(name, PARAMS.get(name), epochs=3, **recipe)
        passes: list[tuple[bool, int]] = []
        run.timer = timer = ShapeTimer(passes)
        build = run.workload.model

        def model() -> nn.Module:
            built = build()
            built.register_forward_pre_hook(lambda module, args: passes.append((module.training, len(args[0]))))
            return built

        monkeypatch.setattr(run.workload, "model", model)
        started = timer.start

        def start() -> None:
            started()
            timer.is_running = True

        monkeypatch.setattr(timer, "start", start)
        list(train(run))
        return timer

    return watched


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_pass_on_the_clock_has_a_shape_that_is_new(name: str, shapes_of: Callable[[str], ShapeTimer]) -> None:
    seen = shapes_of(name)
    assert not seen.cold
    assert seen.sizes == ON_CLOCK.get(name, {SIZE})


@pytest.mark.parametrize("name", ["sb", "kakurenbo", "kf18"])
def test_a_step_in_parts_takes_no_larger_pass_and_none_that_is_new(
    name: str, shapes_of: Callable[..., ShapeTimer]
) -> None:
    seen = shapes_of(name, accumulate=2, batchnorm_group=12)
    assert not seen.cold
    assert seen.sizes == {SIZE // 2}


def test_samples_to_measure_again_are_read_with_those_to_train_on(
    run_of: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("kakurenbo", PARAMS["kakurenbo"], epochs=3)
    requested: list[int] = []
    batches = run.workload.batches

    def counted(ids: Iterable[Tensor], **view: Any) -> Iterator[ViewedBatch]:
        chunks = list(ids)
        requested.append(sum(map(len, chunks)))
        return batches(chunks, **view)

    monkeypatch.setattr(run.workload, "batches", counted)
    records = list(train(run))
    assert records[1].n_refreshed > 0
    assert requested[-3:] == [record.n_trained + record.n_refreshed for record in records]


@pytest.fixture
def learner(workload_of: Callable[..., Workload]) -> Learner:
    return Learner(workload_of(), 0, Comm())


def batch_of(workload: Workload, n: int) -> Batch:
    return Batch(*next(workload.batches([torch.arange(n)], key=0)))


def passes_of(learner: Learner) -> list[Tensor]:
    seen: list[Tensor] = []
    learner.module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    return seen


def test_a_short_batch_is_refreshed_as_a_full_one_and_only_its_own_rows_come_back(learner: Learner) -> None:
    seen, batch = passes_of(learner), batch_of(learner.workload, 7)
    measured = learner.refresh(batch)
    assert [len(x) for x in seen] == [SIZE] and torch.equal(seen[0][:7], batch.x)
    alone = learner.measure(batch)
    assert [len(values) for values in (measured.loss, measured.correct, measured.confidence)] == [7, 7, 7]
    assert torch.allclose(measured.loss, alone.loss, rtol=1e-5)
    assert torch.equal(measured.correct, alone.correct)


def test_a_softmax_over_the_batch_runs_over_the_rows_that_are_requested(learner: Learner) -> None:
    learner.as_coded = AsCoded(confidence_over="batch")
    batch = batch_of(learner.workload, 7)
    assert torch.allclose(learner.refresh(batch).confidence, learner.measure(batch).confidence, rtol=1e-5)


def test_in_training_mode_a_short_batch_stays_short_as_its_rows_see_one_another(learner: Learner) -> None:
    learner.as_coded = AsCoded(refresh_in="train")
    seen = passes_of(learner)
    learner.refresh(batch_of(learner.workload, 7))
    assert [len(x) for x in seen] == [7]


def test_warming_up_shapes_leaves_the_model_and_the_random_streams_as_they_were(learner: Learner) -> None:
    before, digest = torch.get_rng_state(), learner.digest()
    assert learner.cold([SIZE, 144, 96]) == {144, 96}
    learner.warm_up_measurements({144, 96})
    assert learner.cold([SIZE, 144, 96]) == set()
    assert torch.equal(torch.get_rng_state(), before) and learner.digest() == digest
