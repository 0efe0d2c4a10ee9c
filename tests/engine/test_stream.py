"""From a plan to batches: dealing, queueing, and who is kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.engine import seeds
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.engine.stream import QUEUE_BATCHES, PositionedBatch, Queue, selected_batches, shard
from kbench.strategies.api import Batch, Epoch, Probe, Resample, Strategy

CPU = torch.device("cpu")
OnThreads = Callable[[int, Callable[[Comm], Any]], list[Any]]


def rank_of(rank: int, size: int) -> Comm:
    comm = Comm()
    comm.rank, comm.size = rank, size
    return comm


def dealt(
    indices: Tensor, size: int, *, seed: int = 3, global_batch: int = 12, candidate_batches: int = 1
) -> list[list[list[int]]]:
    """What each of ``size`` ranks gets: its batches of ids."""

    def of(comm: Comm) -> list[list[int]]:
        rng = torch.Generator().manual_seed(seed)
        return [
            ids.tolist()
            for ids in shard(indices, rng, global_batch=global_batch, candidate_batches=candidate_batches, comm=comm)
        ]

    return [of(rank_of(rank, size)) for rank in range(size)]


def batch_of(ids: list[int], weight: list[float] | None = None) -> Batch:
    x = torch.tensor(ids, dtype=torch.float32).view(-1, 1, 1, 1)
    return Batch(torch.tensor(ids), x, torch.tensor(ids) % 10, None if weight is None else torch.tensor(weight))


# dealing


@pytest.mark.parametrize("n", [12, 13, 23, 24, 100, 145])
def test_global_batches_are_the_same_sets_for_any_number_of_ranks(n: int) -> None:
    indices = torch.arange(n) * 3
    alone = [set(batch) for batch in dealt(indices, 1)[0]]
    for size in (2, 3, 4, 12):
        ranks = dealt(indices, size)
        assert [set().union(*parts) for parts in zip(*ranks, strict=True)] == alone
        assert all(len(batch) == 12 // size for rank in ranks for batch in rank)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_nothing_is_repeated_and_less_than_a_global_batch_is_left_out(size: int) -> None:
    for n in range(60):
        ids = [i for rank in dealt(torch.arange(n), size) for batch in rank for i in batch]
        assert len(ids) == len(set(ids)) == n - n % 12 and set(ids) <= set(range(n))


def test_fewer_than_a_global_batch_make_no_step() -> None:
    assert dealt(torch.arange(11), 1) == [[]] and dealt(torch.arange(0), 2) == [[], []]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("n", [11, 12, 59, 60, 61, 100])
def test_candidates_are_a_row_of_the_batches_that_would_have_come_one_by_one(n: int, size: int) -> None:
    for singles, several in zip(
        dealt(torch.arange(n), size), dealt(torch.arange(n), size, candidate_batches=3), strict=True
    ):
        assert [i for ids in several for i in ids] == [i for ids in singles for i in ids]
        assert [len(ids) for ids in several] == [
            sum(map(len, singles[first : first + 3])) for first in range(0, len(singles), 3)
        ]


def test_repeats_in_the_plan_are_dealt_as_often_as_planned() -> None:
    ids = [i for batch in dealt(torch.tensor([5] * 8 + [1] * 4), 1)[0] for i in batch]
    assert sorted(ids) == [1] * 4 + [5] * 8


def test_the_order_is_a_shuffle_by_the_generator_alone() -> None:
    first, again, other = (dealt(torch.arange(120), 1, seed=seed) for seed in (1, 1, 2))
    assert first == again and first != other


def test_the_tail_that_is_left_out_changes_with_the_order() -> None:
    tails = [set(range(20)) - {i for batch in dealt(torch.arange(20), 1, seed=s)[0] for i in batch} for s in range(300)]
    left_out = np.bincount([i for tail in tails for i in tail], minlength=20)
    p = 8 / 20
    assert abs(left_out - 300 * p).max() < 4 * (300 * p * (1 - p)) ** 0.5


# the queue


def test_a_queue_gives_back_in_order_what_was_kept() -> None:
    queue = Queue(100)
    queue.push(batch_of([1, 2, 3]), torch.tensor([1.0, 0.0, 2.0]))
    queue.push(batch_of([4, 5]), None)
    assert len(queue) == 4
    first, rest = queue.pop(3), queue.pop(1)
    assert first.index.tolist() == [1, 3, 4] and rest.index.tolist() == [5]
    assert first.x.flatten().tolist() == [1, 3, 4] and first.y.tolist() == [1, 3, 4]


def test_a_queue_multiplies_the_weight_of_the_plan_with_that_of_the_choice() -> None:
    queue = Queue(100)
    queue.push(batch_of([1, 2, 3], [0.5, 4.0, 3.0]), torch.tensor([1.0, 0.25, 0.0]))
    queue.push(batch_of([4], [7.0]), None)
    queue.push(batch_of([5]), torch.tensor([0.5]))
    weight = queue.pop(4).weight
    assert weight is not None and weight.tolist() == [0.5, 1.0, 7.0, 0.5]


def test_a_full_queue_drops_the_oldest_and_counts_them() -> None:
    queue = Queue(4)
    queue.push(batch_of([1, 2, 3]), None)
    queue.push(batch_of([4, 5, 6]), None)
    assert (len(queue), queue.n_dropped) == (4, 2)
    assert queue.pop(4).index.tolist() == [3, 4, 5, 6]


def test_a_queue_without_anyone_is_empty() -> None:
    queue = Queue(4)
    assert len(queue) == 0
    queue.push(batch_of([1, 2]), torch.zeros(2))
    assert (len(queue), queue.n_dropped) == (0, 0)


# choosing


@dataclass
class Scripted(Strategy):
    """Answers what is written down, batch after batch."""

    answers: Sequence[Tensor | Resample | None] = ()
    at: int = -1

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        self.at += 1
        return self.answers[self.at]


def epoch_1(n: int = 100) -> Epoch:
    rng = torch.Generator()
    return Epoch(phase="train", index=1, epochs=2, n_samples=n, n_classes=10, warmup=False, device=CPU, rng=rng)


def choose(
    answers: Sequence[Tensor | Resample | None], *, size: int, candidate_batches: int = 1, comm: Comm | None = None
) -> tuple[list[tuple[float, Batch]], ModelProbe]:
    """Let several 0, 1, ... of so many batches of ``size`` ids pass by the answers."""
    store = SampleStore(100, 10, CPU)
    probe = ModelProbe(cast(Learner, None), store, epoch_1(), comm or Comm(), torch.Generator())
    timer = PhaseTimer(CPU)
    timer.start()

    def candidates() -> Iterator[PositionedBatch]:
        for i in range(len(answers)):
            ids = list(range(i * size * candidate_batches, (i + 1) * size * candidate_batches))
            yield PositionedBatch(i / len(answers), (i + 1) / len(answers), batch_of(ids))

    return list(selected_batches(candidates(), Scripted(answers), probe, timer, size=size)), probe


def test_batches_that_nobody_weighs_pass_as_they_are() -> None:
    out, probe = choose([None, None, None], size=4)
    assert [batch.index.tolist() for _, batch in out] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert [batch.weight for _, batch in out] == [None] * 3 and probe.n_dropped == 0


def test_kept_samples_leave_in_full_batches_only() -> None:
    rng = np.random.default_rng(0)
    answers = [torch.tensor(rng.random(4) < 0.4, dtype=torch.float32) for _ in range(25)]
    out, probe = choose(answers, size=4)
    kept = [4 * i + j for i, answer in enumerate(answers) for j in range(4) if answer[j]]
    assert all(len(batch) == 4 for _, batch in out)
    assert [i for _, batch in out for i in batch.index.tolist()] == kept[: len(kept) // 4 * 4]
    assert probe.n_dropped == len(kept) % 4


def test_a_batch_leaves_at_the_position_of_the_candidates_that_filled_it() -> None:
    half = torch.tensor([1.0, 0.0])
    out, _ = choose([half, half, half, half], size=2)
    assert [position for position, _ in out] == [1.5 / 4, 3.5 / 4]


def test_positions_lie_inside_the_epoch_and_never_go_back() -> None:
    out, _ = choose([torch.tensor([1.0, float(i % 3 > 0)]) for i in range(20)], size=2)
    positions = [position for position, _ in out]
    assert positions == sorted(positions) and 0 < positions[0] and positions[-1] < 1


def test_after_the_first_choice_unweighed_batches_queue_behind_it() -> None:
    out, probe = choose([None, torch.tensor([0.0, 1.0]), None], size=2)
    assert [batch.index.tolist() for _, batch in out] == [[0, 1], [3, 4]] and probe.n_dropped == 1


def test_keeping_nobody_trains_on_nobody() -> None:
    out, probe = choose([torch.zeros(4)] * 5, size=4)
    assert out == [] and probe.n_dropped == 0


def test_a_pool_that_nobody_weighs_is_cut_into_its_batches() -> None:
    out, _ = choose([None, None], size=2, candidate_batches=3)
    assert [batch.index.tolist() for _, batch in out] == [[i, i + 1] for i in range(0, 12, 2)]
    assert [position for position, _ in out] == pytest.approx([(i + 0.5) / 6 for i in range(6)])


def test_what_is_drawn_from_a_pool_is_trained_as_often_as_it_was_drawn() -> None:
    draw = Resample(torch.tensor([5, 0, 5]), torch.tensor([0.5, 2.0, 0.5]))
    out, probe = choose([draw, draw], size=3, candidate_batches=3)
    assert [batch.index.tolist() for _, batch in out] == [[5, 0, 5], [14, 9, 14]]
    assert [batch.weight.tolist() for _, batch in out if batch.weight is not None] == [[0.5, 2.0, 0.5]] * 2
    assert [position for position, _ in out] == [0.25, 0.75] and probe.n_dropped == 0


def test_pools_longer_than_the_queue_lose_nobody_when_all_of_them_are_kept() -> None:
    length = QUEUE_BATCHES + 2
    one = Resample(torch.tensor([0]), torch.tensor([1.0]))
    out, probe = choose([one, None, None], size=2, candidate_batches=length)
    assert [i for _, batch in out for i in batch.index.tolist()] == [0, *range(2 * length, 6 * length - 1)]
    assert probe.n_dropped == 1


def test_what_was_dropped_is_counted_though_nobody_waits_any_more(on_threads: OnThreads) -> None:
    def work(comm: Comm) -> tuple[int, int]:
        both, none = torch.ones(2), torch.zeros(2)
        early, late = (both, none) if comm.rank else (none, both)  # rank 1 fills its queue, then waits for rank 0
        out, probe = choose([early] * (QUEUE_BATCHES + 3) + [late] * QUEUE_BATCHES + [none], size=2, comm=comm)
        return len(out), probe.n_dropped

    assert on_threads(2, work) == [(QUEUE_BATCHES, 0), (QUEUE_BATCHES, 2 * 3)]


def test_ranks_that_keep_differently_many_train_on_equally_many(on_threads: OnThreads) -> None:
    def work(comm: Comm) -> tuple[int, int, int]:
        rng = np.random.default_rng(comm.rank)
        answers = [torch.tensor(rng.random(4) < 0.2 + 0.3 * comm.rank, dtype=torch.float32) for _ in range(25)]
        out, probe = choose(answers, size=4, comm=comm)
        return len(out), sum(int(answer.sum()) for answer in answers), probe.n_dropped

    ranks = on_threads(3, work)
    assert len({n for n, _, _ in ranks}) == 1 and ranks[0][0] > 0
    assert all(kept == 4 * n + dropped for n, kept, dropped in ranks)


def test_a_rank_that_keeps_all_waits_for_one_that_keeps_none_without_growing(on_threads: OnThreads) -> None:
    def work(comm: Comm) -> tuple[int, int]:
        out, probe = choose([torch.full((4,), float(comm.rank))] * 25, size=4, comm=comm)
        return len(out), probe.n_dropped

    assert on_threads(2, work) == [(0, 0), (0, 100)]
    assert QUEUE_BATCHES * 4 < 100  # so that some had to leave before the end


# the probe


def test_a_look_is_counted_remembered_and_changes_no_weight(run_of: Callable[..., Run]) -> None:
    run = run_of()
    learner = Learner(run.workload, 0, run.comm)
    before = learner.digest()
    probe = ModelProbe(learner, run.store, epoch_1(run.workload.n_samples), run.comm, torch.Generator())
    ids, x, y = next(run.workload.batches([torch.arange(30)], key=0))
    measured = probe.measure(Batch(ids, x, y))
    run.store.merge(run.comm)
    assert probe.n_scored == 30 and learner.digest() == before
    assert torch.equal(run.store.view().loss[:30], measured.loss)
    assert run.store.view().known.tolist() == [i < 30 for i in range(run.workload.n_samples)]


def test_a_probes_numbers_come_from_its_own_generator() -> None:
    probes = [
        ModelProbe(cast(Learner, None), SampleStore(1, 2, CPU), epoch_1(), Comm(), seeds.generator("local", rank))
        for rank in (0, 0, 1)
    ]
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (probe.uniform(50).tolist() for probe in probes)
    assert first == again != other and torch.equal(torch.get_rng_state(), before)
