"""Speed-up for every target: first time reached, never extrapolated."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kbench.analysis.compare import compare
from kbench.errors import ResultsError


def at(data: pd.DataFrame, target: float, strategy: str = "sb") -> pd.Series:
    """The row of a target."""
    (row,) = [row for _, row in data[data["strategy"] == strategy].iterrows() if row["target"] == target]
    return row


def test_it_is_the_baseline_s_time_over_the_strategy_s(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.85, 0.9, 0.95], [10.0, 10.0, 10.0])
    book.run("sb", 0, [0.85, 0.95, 0.95], [8.0, 8.0, 8.0])
    data = data_of("speedup", book.frames())
    assert [at(data, target)["speedup"] for target in (0.85, 0.9, 0.95)] == pytest.approx([10 / 8, 20 / 16, 30 / 16])


def test_it_is_that_of_the_table_for_any_target(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb", "iswr"), epochs=30)
    targets = (0.88, 0.91, 0.94, 0.9595)
    data = data_of("speedup", frames)
    for row in compare(frames, baseline="baseline", targets=targets).rows:
        for reach in row.targets if row.strategy != "baseline" else ():
            found = at(data, reach.target, row.strategy)
            expected = np.nan if reach.speedup is None else reach.speedup
            assert found["speedup"] == pytest.approx(expected, nan_ok=True)
            assert found["reached"] == reach.reached


def test_an_accuracy_that_was_left_again_was_reached(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.8, 0.9, 0.95], [1.0, 1.0, 1.0])
    book.run("sb", 0, [0.9, 0.85, 0.95], [1.0, 1.0, 1.0])
    assert at(data_of("speedup", book.frames()), 0.88)["speedup"] == 2.0


def test_between_epochs_nothing_is_interpolated(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.85, 0.95], [1.0, 1.0])
    book.run("sb", 0, [0.85, 0.95], [1.0, 1.0])
    data = data_of("speedup", book.frames())
    assert set(data["speedup"]) == {1.0}


def test_a_target_that_a_seed_does_not_reach_has_no_speed_up(book: Any, data_of: Any) -> None:
    for seed, best in enumerate((0.95, 0.9)):
        book.run("baseline", seed, [0.95], [1.0])
        book.run("sb", seed, [best], [0.5])
    data = data_of("speedup", book.frames())
    assert at(data, 0.9)["speedup"] == 2.0
    beyond = at(data, 0.9005)
    assert np.isnan(beyond["speedup"])
    assert (beyond["reached"], beyond["base_reached"], beyond["seeds"]) == (1, 2, 2)


def test_seeds_are_paired_and_averaged_geometrically(book: Any, data_of: Any) -> None:
    for seed, (base, own) in enumerate([(10.0, 5.0), (10.0, 20.0)]):
        book.run("baseline", seed, [0.9], [base])
        book.run("sb", seed, [0.9], [own])
    row = at(data_of("speedup", book.frames()), 0.9)
    assert [row["speedup_min"], row["speedup"], row["speedup_max"]] == pytest.approx([0.5, 1.0, 2.0])


def test_an_earlier_phase_counts(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.9], [10.0])
    book.run("forget", 0, [0.9], [10.0], score=[(0.9, 10.0)])
    assert at(data_of("speedup", book.frames()), 0.9, "forget")["speedup"] == pytest.approx(0.5)


def test_where_only_the_baseline_ran_there_is_no_figure(invent: Any, data_of: Any) -> None:
    with pytest.raises(ResultsError, match="no strategy with known times beside baseline"):
        data_of("speedup", invent(("baseline",), epochs=3))


def test_a_run_without_times_has_none(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb", "iswr"), epochs=5)
    frames.epochs.loc[frames.epochs["strategy"] == "sb", "elapsed_s"] = np.nan
    assert set(data_of("speedup", frames)["strategy"]) == {"iswr"}


def test_a_line_ends_where_its_data_end_and_says_who_stopped(book: Any, draw: Any, lines: Any) -> None:
    book.run("baseline", 0, [0.85, 0.95], [1.0, 1.0])
    book.run("sb", 0, [0.85, 0.9], [1.0, 1.0])
    book.run("iswr", 0, [0.85, 0.97], [1.0, 1.0])
    drawn = draw("speedup", book.frames())
    axes = drawn.figure.axes[0]
    ends = {name: round(float(line.get_xdata()[-1]), 6) for name, line in lines(axes).items()}
    assert ends == {"sb": 90.0, "iswr": 95.0}
    stops = {line.get_color(): line.get_marker() for line in axes.get_lines() if line.get_label() == "_stop"}
    assert stops == {lines(axes)["sb"].get_color(): "X", lines(axes)["iswr"].get_color(): "^"}
    assert drawn.named[-2:] == ["a seed goes no further", "the baseline goes no further"]


def test_the_baseline_is_a_line_at_one(invent: Any, draw: Any) -> None:
    drawn = draw("speedup", invent(("baseline", "sb"), epochs=5))
    assert any(set(line.get_ydata()) == {1} for line in drawn.figure.axes[0].get_lines())
    assert "baseline" in drawn.named
