"""Work beside the training: when it is handed over, who does it, what it costs, and how it fails."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

from kbench.engine.runtime.background import Background

CPU = torch.device("cpu")


@pytest.fixture
def background() -> Iterator[Background]:
    """One that is settled in the end, so that no thread outlives the test."""
    made = Background(CPU)
    yield made
    made.settle()


def numbered(number: int) -> int:
    return number


@pytest.mark.parametrize("lag", [0, 1, 5, 30])
def test_a_result_is_handed_over_when_so_many_later_works_were_given(lag: int, background: Background) -> None:
    got: list[int] = []
    for number in range(20):
        background.give(partial(numbered, number), got.append, lag=lag)
        assert got == list(range(number + 1 - lag))


def test_the_rest_is_handed_over_in_order_when_the_epoch_ends() -> None:
    background = Background(CPU)
    got: list[int] = []
    for number in range(7):
        background.give(partial(numbered, number), got.append, lag=100)
    assert got == []
    background.settle()
    assert got == list(range(7))


def test_a_smaller_lag_hands_over_all_that_is_older(background: Background) -> None:
    got: list[int] = []
    for number in range(5):
        background.give(partial(numbered, number), got.append, lag=10)
    background.give(partial(numbered, 5), got.append, lag=2)
    assert got == [0, 1, 2, 3]


def test_training_goes_on_while_work_is_under_way(background: Background) -> None:
    given = threading.Event()
    got: list[bool] = []
    background.give(lambda: given.wait(timeout=60), got.append, lag=1)
    given.set()  # never reached if giving waited for the work
    background.give(lambda: True, got.append, lag=0)
    assert got == [True, True]


def test_one_thread_that_is_not_the_trainings_does_all_works_in_order(background: Background) -> None:
    done: list[tuple[int, int]] = []
    for number in range(50):
        background.give(partial(lambda n: done.append((n, threading.get_ident())), number), lambda _: None, lag=3)
    background.settle()
    assert [number for number, _ in done] == list(range(50))
    assert len({thread for _, thread in done}) == 1 and done[0][1] != threading.get_ident()


def test_results_are_taken_in_on_the_trainings_thread() -> None:
    background = Background(CPU)
    threads: set[int] = set()
    for number in range(5):
        background.give(partial(numbered, number), lambda _: threads.add(threading.get_ident()), lag=2)
    background.settle()
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("at_settle", [False, True])
def test_a_failure_of_the_work_is_a_failure_of_the_training(at_settle: bool) -> None:
    background = Background(CPU)
    got: list[list[float]] = []
    background.give(lambda: [1 / 1], got.append, lag=1)
    with pytest.raises(ZeroDivisionError):
        background.give(lambda: [1 / 0], got.append, lag=int(at_settle))
        background.settle()
    assert got == [[1.0]]
    background.settle()


def test_the_seconds_of_all_works_are_counted() -> None:
    background = Background(CPU)
    spans: list[float] = []

    def busy() -> float:
        began = time.perf_counter()
        while time.perf_counter() < began + 0.002:
            pass
        return time.perf_counter() - began

    for _ in range(5):
        background.give(busy, spans.append, lag=2)
    assert background.settle() >= sum(spans) >= 0.01


def test_an_epoch_without_work_costs_nothing() -> None:
    assert Background(CPU).settle() == 0.0


def test_no_graph_is_built_beside_and_the_trainings_mode_is_left_alone(background: Background) -> None:
    modes: list[bool] = []
    with torch.enable_grad():
        background.give(torch.is_grad_enabled, modes.append, lag=0)
        assert modes == [False] and torch.is_grad_enabled()


def test_the_trainings_number_of_threads_is_left_alone() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    torch.set_num_threads(2)
    try:
        background = Background(CPU)
        background.give(torch.get_num_threads, seen.append, lag=0)
        during = torch.get_num_threads()
        background.settle()
        assert (during, torch.get_num_threads(), seen) == (2, 2, [1])
    finally:
        torch.set_num_threads(before)


def test_no_thread_is_left_when_the_epoch_is_over() -> None:
    before, background = threading.active_count(), Background(CPU)
    background.give(lambda: None, lambda _: None, lag=5)
    background.settle()
    assert threading.active_count() == before


def measured_by(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def results() -> tuple[list[weakref.ref[torch.Tensor]], Callable[[torch.Tensor], None]]:
    seen: list[weakref.ref[torch.Tensor]] = []
    return seen, lambda made: seen.append(weakref.ref(made))


def test_what_a_work_read_and_made_is_let_go_before_the_epoch_is(background: Background) -> None:
    made, then = results()
    read = []
    for _ in range(10):
        x = torch.ones(3)
        read.append(weakref.ref(x))
        background.give(partial(measured_by, x), then, lag=2)
        del x
    background.settle()
    assert len(read) == len(made) == 10
    assert all(ref() is None for ref in [*read, *made])
