"""The lap timer: every instant belongs to one part; and CPU time."""

import multiprocessing
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from kbench.engine.clock import PARTS, PhaseTimer, cpu_time_s


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``at(3.5)``: the performance counter shows 3.5 s from now on."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def set_to(seconds: float) -> None:
        now[0] = seconds

    return set_to


@pytest.fixture
def timer() -> Iterator[PhaseTimer]:
    yield PhaseTimer(torch.device("cpu"))


def test_a_lap_is_the_time_since_the_last(timer: PhaseTimer, at: Callable[[float], None]) -> None:
    at(10)
    timer.start()
    for moment, part in ((11, "plan_s"), (13, "data_s"), (17, "forward_s")):
        at(moment)
        timer.lap(part)
    parts = timer.stop()
    assert (parts["plan_s"], parts["data_s"], parts["forward_s"]) == (1, 2, 4)


def test_laps_of_one_part_add_up(timer: PhaseTimer, at: Callable[[float], None]) -> None:
    timer.start()
    for moment, part in ((1, "data_s"), (2, "forward_s"), (5, "data_s")):
        at(moment)
        timer.lap(part)
    assert timer.stop()["data_s"] == 4


def test_parts_add_up_to_the_whole(timer: PhaseTimer, at: Callable[[float], None]) -> None:
    at(100)
    timer.start()
    for i in range(1, 200):
        at(100 + i**2 / 7)
        timer.lap(PARTS[i % len(PARTS)])
    assert sum(timer.stop().values()) == pytest.approx(199**2 / 7)


def test_parts_without_a_lap_are_zero(timer: PhaseTimer) -> None:
    timer.start()
    assert timer.stop() == dict.fromkeys(PARTS, 0.0)


def test_a_second_epoch_starts_afresh(timer: PhaseTimer, at: Callable[[float], None]) -> None:
    timer.start()
    at(5)
    timer.lap("data_s")
    timer.stop()
    at(50)
    timer.start()
    at(51)
    timer.lap("data_s")
    assert timer.stop()["data_s"] == 1


def test_laps_between_stop_and_start_count_for_nothing(timer: PhaseTimer, at: Callable[[float], None]) -> None:
    timer.start()
    timer.stop()
    at(5)
    timer.lap("data_s")
    at(50)
    timer.start()
    at(51)
    timer.lap("update_s")
    assert timer.stop() == dict.fromkeys(PARTS, 0.0) | {"update_s": 1}


def test_what_is_skipped_belongs_to_no_part(timer: PhaseTimer, at: Callable[[float], None]) -> None:
    at(10)
    timer.start()
    at(11)
    timer.lap("data_s")
    at(20)
    timer.skip()
    at(23)
    timer.lap("select_s")
    assert timer.stop() == dict.fromkeys(PARTS, 0.0) | {"data_s": 1, "select_s": 3}


def test_the_cpu_time_of_processes_that_it_started_is_counted_while_they_live() -> None:
    context = multiprocessing.get_context("fork")
    used, end = context.Event(), context.Event()

    def work() -> None:
        while time.process_time() < 0.2:  # a child's clock begins at 0
            pass
        used.set()
        end.wait(60)

    child = context.Process(target=work)
    before = cpu_time_s() - time.process_time()
    child.start()
    try:
        assert used.wait(60)
        assert cpu_time_s() - time.process_time() - before >= 0.1  # the system counts coarsely
    finally:
        end.set()
        child.join()
