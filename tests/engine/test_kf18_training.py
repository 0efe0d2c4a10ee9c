"""KF18 in the real loop: draws and updates, and ranks that switch together."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.engine.stream import PositionedBatch, selected_batches, shard
from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, Probe, Resample
from kbench.strategies.kf18 import KF18

Trainings = Callable[..., Any]
OnThreads = Callable[[int, Callable[[Comm], Any]], list[Any]]
N, TAIL, GLOBAL_BATCH = 1442, 2, 48
AT_ONCE = {"threshold": 1.0, "momentum": 0.0}  # x is never below 1, so that all candidates but the first are drawn from


@pytest.mark.parametrize("presample", [3, 100])
def test_with_a_threshold_out_of_reach_it_trains_exactly_like_the_baseline(
    presample: int, training_of: Trainings
) -> None:
    ours, baseline = training_of("kf18", {"threshold": 1e9, "presample": presample}), training_of()
    for epoch in range(3):
        assert ours.ids(epoch) == baseline.ids(epoch)
    for record, theirs in zip(ours.records, baseline.records, strict=True):
        assert (record.n_trained, record.n_scored, record.n_dropped) == (N - TAIL, 0, TAIL)
        assert record.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert record.val_loss == pytest.approx(theirs.val_loss, rel=1e-5)


def test_candidates_that_are_drawn_from_are_all_measured_and_give_one_batch(training_of: Trainings) -> None:
    training = training_of("kf18", AT_ONCE)
    # 30 global batches are candidates 3 at a time, 10 times; the first are trained as it is.
    assert [r.n_scored for r in training.records] == [9 * 3 * 48, 1440, 1440]
    assert [r.n_trained for r in training.records] == [(3 + 9) * 48, 480, 480]
    assert [r.n_dropped for r in training.records] == [TAIL] * 3 and training.n_selected == [
        r.n_trained for r in training.records
    ]


@pytest.mark.parametrize(("presample", "n_trained", "n_scored"), [(7, 5, 30), (29, 2, 29)])
def test_the_last_candidates_give_one_batch_however_few_they_are(
    presample: int, n_trained: int, n_scored: int, training_of: Trainings
) -> None:
    last = training_of("kf18", {**AT_ONCE, "presample": presample}).records[-1]
    assert (last.n_trained, last.n_scored) == (n_trained * 48, n_scored * 48)  # one batch of 29 + 1 has no choice


def test_draws_are_weighted_back_and_repeated(training_of: Trainings) -> None:
    training = training_of("kf18", AT_ONCE)
    weights = torch.cat([batch.weight for batch, _ in training.trained[2]])
    assert (weights > 0).all() and weights.std() > 0.1
    assert len(set(training.ids(2))) < len(training.ids(2))
    assert 0.5 < weights.mean() < 2  # 1 in the mean of all draws


def test_learning_rates_follow_the_pass_over_candidates(training_of: Trainings) -> None:
    ours, baseline = training_of("kf18", AT_ONCE).records, training_of().records
    assert [r.lr for r in ours] == pytest.approx([r.lr for r in baseline])


class Watched(KF18):
    """KF18 that notes at every draw what its own tau was and whether it drew."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.notes: list[tuple[float, bool]] = []

    def select(self, batch: Batch, probe: Probe) -> Resample | None:
        own = 0.0 if self.tau is None else float(self.tau)
        answer = super().select(batch, probe)
        self.notes.append((own, answer is not None))
        return answer


def watched_epochs(
    run: Run, comm: Comm, learner: Learner, strategy: Watched, *, n_epochs: int
) -> list[tuple[float, bool]]:
    """The engine's stream with a learner of each rank's own: their error norms, and so their taus, differ."""
    workload, size = run.workload, GLOBAL_BATCH // comm.size
    for index in range(n_epochs):
        rng = torch.Generator().manual_seed(index)
        epoch = Epoch(
            phase="train",
            index=index,
            epochs=n_epochs,
            n_samples=N,
            n_classes=10,
            warmup=False,
            device=workload.device,
            rng=rng,
        )
        plan = strategy.plan(epoch, run.store.view())
        steps = shard(plan.indices, rng, global_batch=GLOBAL_BATCH, candidate_batches=plan.candidate_batches, comm=comm)

        def candidates(steps: tuple[torch.Tensor, ...] = steps) -> Iterator[PositionedBatch]:
            for ids, x, y in workload.batches(steps, key=0):
                yield PositionedBatch(0.0, 1.0, Batch(ids, x, y))

        timer = PhaseTimer(workload.device)
        timer.start()
        local = torch.Generator().manual_seed(comm.rank)
        probe = ModelProbe(learner, run.store, epoch, comm, local)
        for _, batch in selected_batches(candidates(), strategy, probe, timer, size=size):
            assert len(batch) == size
            strategy.observe(batch, learner.step(batch, 0.05, timer))
    return strategy.notes


@pytest.mark.parametrize("size", [1, 2, 3])
def test_ranks_switch_together_at_the_mean_of_their_taus(
    size: int, on_threads: OnThreads, run_of: Callable[..., Run]
) -> None:
    threshold, n_epochs = 1.12, 4
    runs = [run_of("baseline", {}) for _ in range(size)]
    learners = [Learner(run.workload, rank, Comm()) for rank, run in enumerate(runs)]

    def work(comm: Comm) -> list[tuple[float, bool]]:
        strategy = Watched(threshold=threshold, momentum=0.7)
        return watched_epochs(runs[comm.rank], comm, learners[comm.rank], strategy, n_epochs=n_epochs)

    ranks = on_threads(size, work)
    steps = list(zip(*ranks, strict=True))
    assert len(steps) == 10 * n_epochs
    for step in steps:
        drew = {answer for _, answer in step}
        assert drew == {sum(tau for tau, _ in step) / size > threshold}
    assert {answer for step in steps for _, answer in step} == {True, False}
    straddled = [step for step in steps if min(step)[0] <= threshold < max(step)[0]]
    assert straddled or size == 1  # alone, some rank would have decided otherwise


def test_it_is_the_strategy_of_that_name() -> None:
    assert type(load("kf18")) is KF18
