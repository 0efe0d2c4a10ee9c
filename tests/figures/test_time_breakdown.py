"""Where the time went."""

from typing import Any

import numpy as np
import pytest

from kbench.errors import ResultsError
from kbench.figures.time_breakdown import OFF_CLOCK, ON_CLOCK


def test_seconds_are_those_of_a_run_over_all_phases_mean_over_seeds(book: Any, data_of: Any) -> None:
    parts = {"forward_s": 1.0, "backward_s": 2.0}
    book.run("baseline", 0, [0.5], [3.0], **parts)
    book.run("baseline", 1, [0.5], [3.0], **parts)
    book.run("forget", 0, [0.5], [3.0], score=[(0.1, 3.0)], **parts)
    book.run("forget", 1, [0.5, 0.6], [3.0, 3.0], score=[(0.1, 3.0), (0.1, 3.0)], **parts)
    found = data_of("time", book.frames()).set_index(["strategy", "part"])["seconds"]
    assert found["forget", "forward_s"] == 3.0
    assert found["forget", "backward_s"] == 6.0
    assert found["baseline", "backward_s"] == 2.0


def test_the_parts_on_the_clock_add_up_to_the_training_time(invent: Any, data_of: Any) -> None:
    frames = invent(epochs=4)
    data = data_of("time", frames)
    sums = data[data["on_clock"]].groupby("strategy")["seconds"].sum()
    expected = frames.runs.groupby("strategy")["total_train_s"].mean()
    assert sums.to_dict() == pytest.approx(expected.to_dict())


def test_evaluation_is_off_the_clock(invent: Any, data_of: Any) -> None:
    data = data_of("time", invent(("baseline",), epochs=4)).set_index("part")
    assert data.loc["eval_s", "seconds"] == pytest.approx(0.4)
    assert not data.loc["eval_s", "on_clock"]


def test_what_the_parts_of_a_log_leave_open_is_a_part_of_its_own(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=4, backward_s=np.nan)
    data = data_of("time", frames).set_index(["strategy", "part"])["seconds"]
    expected = 0.45 * frames.runs.set_index("strategy")["total_train_s"].groupby("strategy").mean()
    assert data["baseline", "rest_s"] == pytest.approx(expected["baseline"])
    assert np.isnan(data["baseline", "backward_s"])


def test_the_rest_of_one_run_is_shared_by_all(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=4)
    frames.epochs.loc[frames.epochs["run_id"] == "p.sb.s1", "backward_s"] = np.nan
    data = data_of("time", frames)
    own = data[(data["strategy"] == "sb") & data["on_clock"]]
    assert own["seconds"].sum() == pytest.approx(own["train_s"].iloc[0])
    assert own.set_index("part").loc["rest_s", "seconds"] > 0


def test_a_strategy_of_which_a_training_time_is_unknown_is_left_out(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=4)
    frames.epochs.loc[frames.epochs["run_id"] == "p.sb.s1", "train_s"] = [1.0, np.nan, 1.0, 1.0]
    assert set(data_of("time", frames)["strategy"]) == {"baseline"}


def test_without_times_there_is_no_figure(invent: Any, data_of: Any) -> None:
    with pytest.raises(ResultsError, match="no strategy has the training time of all its runs"):
        data_of("time", invent(("baseline", "sb"), epochs=4, train_s=np.nan))


def test_a_bar_is_stacked_without_gaps_in_the_order_of_an_epoch(invent: Any, draw: Any) -> None:
    drawn = draw("time", invent(("baseline", "kakurenbo"), epochs=4))
    table = drawn.data.pivot(index="strategy", columns="part", values="seconds").loc[["baseline", "kakurenbo"]]
    bars = {bar.get_label(): bar for bar in drawn.figure.axes[0].containers}
    assert list(bars) == [*ON_CLOCK, *OFF_CLOCK]
    ends = np.zeros(2)
    for part in ON_CLOCK:
        np.testing.assert_allclose([patch.get_x() for patch in bars[part]], ends)
        np.testing.assert_allclose([patch.get_width() for patch in bars[part]], table[part].fillna(0))
        ends = ends + table[part].fillna(0).to_numpy()


def test_what_is_off_the_clock_is_a_hollow_bar_of_its_own(invent: Any, draw: Any) -> None:
    bars = {bar.get_label(): bar for bar in draw("time", invent(epochs=4)).figure.axes[0].containers}
    on, off = bars["forward_s"][0], bars["eval_s"][0]
    assert off.get_x() == 0
    assert off.get_y() >= on.get_y() + on.get_height()
    assert off.get_facecolor()[3] == 0
    assert off.get_hatch()


def test_bars_are_named_and_end_in_the_training_time(invent: Any, draw: Any) -> None:
    drawn = draw("time", invent(("baseline", "sb"), epochs=4))
    axes = drawn.figure.axes[0]
    sums = drawn.data.groupby("strategy", sort=False)["train_s"].first()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["baseline", "sb"]
    assert [text.get_text() for text in axes.texts] == [f"{seconds:.2f} s" for seconds in sums]


def test_staging_and_work_beside_training_are_shown_where_there_was_some(invent: Any, draw: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=4, background_s=0.2)
    assert "staging (off the clock)" not in draw("time", frames).named
    frames.runs["stage_s"] = 0.5
    assert draw("time", frames).named[-3:] == [part.label for part in OFF_CLOCK.values()]


def test_parts_are_told_apart_in_grey() -> None:
    from matplotlib.colors import to_rgb

    seen: set[tuple[int, str]] = set()
    for bar in ON_CLOCK.values():
        red, green, blue = to_rgb(bar.style.color)
        seen.add((round(10 * (0.3 * red + 0.59 * green + 0.11 * blue)), bar.style.hatch))
    assert len(seen) == len(ON_CLOCK)
