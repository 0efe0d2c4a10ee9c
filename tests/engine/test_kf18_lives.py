"""KF18 in the real loop: pools, draws and updates, and ranks that switch together."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.engine.stream import Placed, chosen, shard
from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, Probe, Resample
from kbench.strategies.kf18 import KF18

Lives = Callable[..., Any]
OnThreads = Callable[[int, Callable[[Comm], Any]], list[Any]]
N, TAIL, GLOBAL_BATCH = 1442, 2, 48
AT_ONCE = {"threshold": 1.0, "momentum": 0.0}  # x is never below 1, so every pool but the first is drawn from


@pytest.mark.parametrize("presample", [3, 100])
def test_with_a_threshold_out_of_reach_it_trains_exactly_like_the_baseline(presample: int, life_of: Lives) -> None:
    ours, baseline = life_of("kf18", {"threshold": 1e9, "presample": presample}), life_of()
    for epoch in range(3):
        assert ours.ids(epoch) == baseline.ids(epoch)
    for record, theirs in zip(ours.records, baseline.records, strict=True):
        assert (record.n_trained, record.n_scored, record.n_dropped) == (N - TAIL, 0, TAIL)
        assert record.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert record.val_loss == pytest.approx(theirs.val_loss, rel=1e-5)


def test_a_pool_that_is_drawn_from_is_looked_at_whole_and_gives_one_batch(life_of: Lives) -> None:
    life = life_of("kf18", AT_ONCE)
    # 30 global batches are 10 pools of 3; the first of all is trained as it is.
    assert [r.n_scored for r in life.records] == [9 * 3 * 48, 1440, 1440]
    assert [r.n_trained for r in life.records] == [(3 + 9) * 48, 480, 480]
    assert [r.n_dropped for r in life.records] == [TAIL] * 3 and life.kept == [r.n_trained for r in life.records]


@pytest.mark.parametrize(("presample", "n_trained", "n_scored"), [(7, 5, 30), (29, 2, 29)])
def test_the_last_pool_gives_one_batch_however_small_it_is(
    presample: int, n_trained: int, n_scored: int, life_of: Lives
) -> None:
    last = life_of("kf18", {**AT_ONCE, "presample": presample}).records[-1]
    assert (last.n_trained, last.n_scored) == (n_trained * 48, n_scored * 48)  # one batch of 29 + 1 has no choice


def test_draws_are_weighted_back_and_repeated(life_of: Lives) -> None:
    life = life_of("kf18", AT_ONCE)
    weights = torch.cat([batch.weight for batch, _ in life.trained[2]])
    assert (weights > 0).all() and weights.std() > 0.1
    assert len(set(life.ids(2))) < len(life.ids(2))
    assert 0.5 < weights.mean() < 2  # 1 in the mean of all draws


def test_learning_rates_follow_the_pass_over_candidates(life_of: Lives) -> None:
    ours, baseline = life_of("kf18", AT_ONCE).records, life_of().records
    assert [r.lr for r in ours] == pytest.approx([r.lr for r in baseline])


class Watched(KF18):
    """KF18 that notes at every pool what its own tau was and whether it drew."""

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
    """The engine's stream with a learner of each rank's own: their residuals, and so their taus, differ."""
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

        def candidates(steps: tuple[torch.Tensor, ...] = steps) -> Iterator[Placed]:
            for ids, x, y in workload.batches(steps, key=0):
                yield Placed(0.0, 1.0, Batch(ids, x, y))

        timer = PhaseTimer(workload.device)
        timer.start()
        local = torch.Generator().manual_seed(comm.rank)
        probe = ModelProbe(learner, run.store, epoch, comm, local)
        for _, batch in chosen(candidates(), strategy, probe, timer, size=size):
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
