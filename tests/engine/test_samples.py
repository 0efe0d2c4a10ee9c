"""The statistics of samples: local writes, one merge, each sample counted once."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.strategies.api import Measured, SampleStats

CPU = torch.device("cpu")
OnThreads = Callable[[int, Callable[[Comm], Any]], list[Any]]


def measured(loss: list[float], correct: list[bool], confidence: list[float]) -> Measured:
    return Measured(torch.tensor(loss), torch.tensor(correct), torch.tensor(confidence), torch.tensor(loss) / 3)


def ids(*which: int) -> torch.Tensor:
    return torch.tensor(which)


@pytest.fixture
def store() -> SampleStore:
    return SampleStore(4, 10, CPU)


def test_an_unmeasured_sample_is_a_uniform_guess(store: SampleStore) -> None:
    stats = store.view()
    assert stats.loss.tolist() == pytest.approx([math.log(10)] * 4)
    assert stats.correct.tolist() == [False] * 4
    assert stats.confidence.tolist() == pytest.approx([0.1] * 4)
    assert stats.age.tolist() == [-1] * 4 and not stats.known.any()


def test_what_was_measured_is_shown_after_the_merge(store: SampleStore) -> None:
    store.write(ids(2, 0), measured([0.5, 1.5], [True, False], [0.6, 0.2]))
    store.merge(Comm())
    stats = store.view()
    assert stats.loss[[0, 2]].tolist() == [1.5, 0.5]
    assert stats.correct.tolist() == [False, False, True, False]
    assert stats.confidence[[0, 2]].tolist() == pytest.approx([0.2, 0.6])
    assert stats.known.tolist() == [True, False, True, False]


def test_the_latest_measurement_stands(store: SampleStore) -> None:
    store.write(ids(1), measured([3.0], [False], [0.1]))
    store.write(ids(1), measured([1.0], [True], [0.4]))
    store.merge(Comm())
    stats = store.view()
    assert (float(stats.loss[1]), bool(stats.correct[1]), float(stats.confidence[1])) == (1.0, True, pytest.approx(0.4))


def test_unseen_samples_keep_their_values_and_grow_older(store: SampleStore) -> None:
    store.write(ids(1), measured([0.25], [True], [0.8]))
    ages = []
    for _ in range(3):
        store.merge(Comm())
        ages.append(store.view().age.tolist())
    assert ages == [[-1, 0, -1, -1], [-1, 1, -1, -1], [-1, 2, -1, -1]]
    assert float(store.view().loss[1]) == 0.25 and bool(store.view().correct[1])


def test_a_sample_seen_again_is_young_again(store: SampleStore) -> None:
    for _ in range(2):
        store.write(ids(1), measured([0.25], [True], [0.8]))
        store.merge(Comm())
        store.merge(Comm())
    store.write(ids(1), measured([0.5], [True], [0.7]))
    store.merge(Comm())
    assert int(store.view().age[1]) == 0


def test_a_strategy_cannot_change_what_it_is_shown(store: SampleStore) -> None:
    stats = store.view()
    stats.loss.zero_()
    stats.correct.fill_(True)
    stats.confidence.zero_()
    stats.age.zero_()
    again = store.view()
    assert float(again.loss.min()) > 2 and not again.correct.any() and float(again.confidence.min()) > 0
    assert again.age.tolist() == [-1] * 4


def test_a_strategy_that_keeps_one_thing_it_is_shown_keeps_no_other_alive(store: SampleStore) -> None:
    stats = store.view()
    for kept in (stats.loss, stats.confidence, stats.error_norm):
        assert kept.untyped_storage().nbytes() == kept.nbytes


def test_a_view_does_not_change_with_later_measurements(store: SampleStore) -> None:
    stats = store.view()
    store.write(ids(0), measured([0.0], [True], [1.0]))
    store.merge(Comm())
    assert float(stats.loss[0]) > 2 and not stats.correct[0] and int(stats.age[0]) == -1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_ranks_know_what_any_rank_measured(size: int, on_threads: OnThreads) -> None:
    rng = np.random.default_rng(size)
    n, rounds = 30, 4
    losses, right = rng.exponential(size=(rounds, n)).astype(np.float32), rng.random((rounds, n)) < 0.5
    seen = rng.random((rounds, n)) < 0.6

    def work(comm: Comm) -> SampleStats:
        store = SampleStore(n, 10, CPU)
        for loss, correct, there in zip(losses, right, seen, strict=True):
            mine = np.flatnonzero(there)[comm.rank :: comm.size]
            store.write(
                torch.tensor(mine), measured(loss[mine].tolist(), correct[mine].tolist(), np.exp(-loss[mine]).tolist())
            )
            store.merge(comm)
        return store.view()

    def slowly(i: int) -> tuple[float, bool, int]:
        last = max((r for r in range(rounds) if seen[r, i]), default=None)
        return (math.log(10), False, -1) if last is None else (losses[last, i], right[last, i], rounds - 1 - last)

    for stats in on_threads(size, work):
        for i in range(n):
            loss, correct, age = slowly(i)
            assert float(stats.loss[i]) == pytest.approx(loss)
            assert (bool(stats.correct[i]), int(stats.age[i])) == (correct, age)


def test_a_sample_that_several_ranks_measured_counts_once(on_threads: OnThreads) -> None:
    def work(comm: Comm) -> SampleStats:
        store = SampleStore(3, 10, CPU)
        store.write(ids(1), measured([1.0 + comm.rank], [True], [0.4]))
        if comm.rank == 2:
            store.write(ids(2), measured([0.5], [True], [0.6]))
        store.merge(comm)
        return store.view()

    for stats in on_threads(3, work):
        assert stats.loss.tolist() == pytest.approx([math.log(10), 2.0, 0.5])
        assert stats.confidence.tolist() == pytest.approx([0.1, 0.4, 0.6])
        assert stats.correct.tolist() == [False, True, True] and stats.age.tolist() == [-1, 0, 0]


def test_a_measurement_counts_in_one_merge_only(on_threads: OnThreads) -> None:
    def work(comm: Comm) -> SampleStats:
        store = SampleStore(2, 10, CPU)
        store.write(ids(0), measured([1.0], [True], [0.4]))
        store.merge(comm)
        if comm.rank == 0:
            store.write(ids(0), measured([5.0], [False], [0.01]))
        store.merge(comm)
        return store.view()

    for stats in on_threads(2, work):
        assert float(stats.loss[0]) == 5.0 and not stats.correct[0]
