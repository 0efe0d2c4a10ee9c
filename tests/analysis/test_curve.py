"""Accuracy over time, and when a target is reached."""

import math
from dataclasses import replace
from typing import Any

from kbench.analysis.curve import Curve, curves, seconds_to


def curve(accuracy: tuple[float, ...], seconds: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0)) -> Curve:
    return Curve(
        pair="p", strategy="s", seed=0, match_key="k", seconds=seconds, accuracy=accuracy, start_s=0.0
    )  # fmt: skip


def test_a_target_is_reached_at_the_end_of_the_first_epoch_at_or_above_it() -> None:
    assert seconds_to(curve((0.2, 0.5, 0.9, 0.95)), 0.9) == 3.0


def test_nothing_is_interpolated_between_epochs() -> None:
    assert seconds_to(curve((0.2, 0.5, 0.9, 0.95)), 0.51) == 3.0


def test_a_target_that_was_left_again_was_reached() -> None:
    assert seconds_to(curve((0.2, 0.8, 0.3, 0.4)), 0.7) == 2.0


def test_a_target_above_every_epoch_is_not_reached() -> None:
    assert seconds_to(curve((0.2, 0.5, 0.9, 0.89)), 0.901) is None


def test_a_target_reached_when_nobody_looked_at_the_clock_was_reached() -> None:
    found = seconds_to(curve((0.2, 0.9), (math.nan, math.nan)), 0.9)
    assert found is not None and math.isnan(found)


def test_epochs_without_an_accuracy_reach_nothing() -> None:
    assert seconds_to(curve((math.nan, 0.9), (1.0, 2.0)), 0.5) == 2.0


def test_curves_come_in_the_order_of_the_runs_however_the_epochs_lie(book: Any) -> None:
    book.run("baseline", 0, [0.5, 0.75], [2.0, 4.0])
    book.run("mine", 0, [0.25, 0.5], [1.0, 1.0])
    frames = book.frames()
    shuffled = replace(frames, epochs=frames.epochs.sample(frac=1, random_state=3))
    assert sorted(curves(shuffled), key=str) == sorted(curves(frames), key=str)


def test_a_curve_has_a_run_s_seconds_and_accuracies_epoch_by_epoch(book: Any) -> None:
    book.run("baseline", 0, [0.5, 0.75, 0.875], [2.0, 4.0, 8.0])
    (found,) = curves(book.frames())
    assert (found.strategy, found.seed) == ("baseline", 0)
    assert found.seconds == (2.0, 6.0, 14.0)
    assert found.accuracy == (0.5, 0.75, 0.875)
    assert found.start_s == 0.0
    assert found.total_s == 14.0


def test_an_earlier_phase_is_where_the_clock_of_a_curve_starts(book: Any) -> None:
    book.run("forget", 0, [0.5, 0.9], [5.0, 5.0], score=[(0.6, 10.0), (0.95, 10.0)])
    (found,) = curves(book.frames())
    assert found.start_s == 20.0
    assert found.seconds == (25.0, 30.0)


def test_the_total_of_a_curve_includes_its_earlier_phase(book: Any) -> None:
    book.run("forget", 0, [0.5, 0.9], [5.0, 5.0], score=[(0.6, 10.0), (0.95, 10.0)])
    (found,) = curves(book.frames())
    assert found.total_s == 30.0


def test_an_accuracy_of_an_earlier_phase_reaches_no_target(book: Any) -> None:
    book.run("forget", 0, [0.5, 0.9], [5.0, 5.0], score=[(0.6, 10.0), (0.95, 10.0)])
    (found,) = curves(book.frames())
    assert seconds_to(found, 0.55) == 30.0
    assert seconds_to(found, 0.95) is None


def test_a_run_that_failed_has_no_curve(book: Any) -> None:
    book.run("baseline", 0, [0.5], [1.0])
    book.run("baseline", 1, [0.5], [1.0], fails="no more")
    assert [found.seed for found in curves(book.frames())] == [0]
