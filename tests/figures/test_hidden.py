"""Shares hidden, moved back and selected."""

from typing import Any

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from kbench.errors import ResultsError


def made(invent: Any, strategies: tuple[str, ...] = ("baseline", "random", "kakurenbo", "sb")) -> Any:
    return invent(strategies, epochs=6)


def test_the_hidden_share_stands_below_its_ceiling_by_what_was_moved_back(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "kakurenbo"), epochs=2, seeds=1, n_samples=1000)
    own = frames.epochs["strategy"] == "kakurenbo"
    frames.epochs.loc[own, "n_hidden"] = [100, 240]
    frames.epochs.loc[own, "ceiling"] = [0.3, 0.24]
    found = data_of("hidden", frames)
    assert found[["strategy", "share", "epoch"]].to_numpy().tolist() == [
        ["kakurenbo", "hidden", 1],
        ["kakurenbo", "hidden", 2],
    ]
    np.testing.assert_allclose(found[["value", "ceiling", "moved_back"]], [[0.1, 0.3, 0.2], [0.24, 0.24, 0.0]])


def test_a_ceiling_that_is_no_whole_number_of_samples_moves_nobody_back(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "kakurenbo"), epochs=1, seeds=1, n_samples=7, n_hidden=2, ceiling=0.3, n_trained=5)
    assert data_of("hidden", frames)["moved_back"].tolist() == [0.0, 0.0]


def test_the_selected_share_is_that_of_whom_was_trained_on(invent: Any, data_of: Any) -> None:
    found = data_of("hidden", made(invent))
    assert found[found["share"] == "selected"][["strategy", "value"]].drop_duplicates().to_numpy().tolist() == [
        ["sb", 0.5]
    ]


def test_who_hides_nobody_and_selects_nobody_is_not_shown(invent: Any, data_of: Any) -> None:
    assert set(data_of("hidden", made(invent))["strategy"]) == {"random", "kakurenbo", "sb"}


def test_dropping_what_fills_no_batch_is_not_selecting(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "random"), epochs=2)
    frames.epochs["n_trained"] -= 8
    frames.epochs["n_dropped"] = 8
    assert set(data_of("hidden", frames)["share"]) == {"hidden"}


def test_where_nobody_hides_there_is_no_figure(invent: Any, data_of: Any) -> None:
    with pytest.raises(ResultsError, match="no strategy is known to hide samples"):
        data_of("hidden", invent(("baseline", "budget"), epochs=2))


@pytest.mark.parametrize("column", ["n_hidden", "n_trained", "n_samples", "n_dropped"])
def test_what_logs_do_not_tell_is_not_drawn(column: str, invent: Any, data_of: Any) -> None:
    frames = made(invent)
    frames.epochs[column] = np.nan
    shares = {"n_hidden": set(), "n_trained": {"hidden"}, "n_samples": set(), "n_dropped": {"hidden"}}[column]
    if not shares:
        with pytest.raises(ResultsError):
            data_of("hidden", frames)
    else:
        assert set(data_of("hidden", frames)["share"]) == shares


def test_only_the_last_phase_is_shown(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.5], [1.0])
    book.run("forget", 0, [0.5, 0.9], [5.0, 5.0], score=[(0.6, 10.0)] * 3, n_hidden=30)
    assert data_of("hidden", book.frames())["epoch"].tolist() == [1, 2]


def test_the_ceiling_is_steps_and_the_share_a_line_with_marks(invent: Any, draw: Any, lines: Any) -> None:
    drawn = draw("hidden", made(invent, ("baseline", "kakurenbo")))
    axes = drawn.figure.axes[0]
    own = drawn.data
    np.testing.assert_allclose(
        lines(axes)["kakurenbo"].get_xydata(), np.column_stack([own["epoch"], 100 * own["value"]])
    )
    assert lines(axes)["kakurenbo"].get_marker() == "P"
    steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    assert len(steps) == 2  # the ceiling, and hatched below it what was moved back
    for patch in steps:
        np.testing.assert_allclose(patch.get_data().values, 100 * own["ceiling"])
        np.testing.assert_allclose(patch.get_data().edges, np.arange(7) + 0.5)
    np.testing.assert_allclose(steps[1].get_data().baseline, 100 * own["value"])
    assert drawn.named == ["kakurenbo", "its ceiling", "moved back"]


def test_a_share_without_a_ceiling_has_no_steps(invent: Any, draw: Any) -> None:
    drawn = draw("hidden", made(invent, ("baseline", "random")))
    assert not drawn.figure.axes[0].patches
    assert drawn.named == ["random"]


def test_hidden_and_selected_stand_in_panels_of_their_own(invent: Any, draw: Any) -> None:
    drawn = draw("hidden", made(invent))
    labels = [axes.get_ylabel() for axes in drawn.figure.axes]
    assert labels == ["left out by the plan [%]", "trained on, of all [%]"]


def test_selection_alone_can_be_drawn(invent: Any, draw: Any, lines: Any) -> None:
    (axes,) = draw("hidden", made(invent, ("baseline", "sb"))).figure.axes
    assert list(lines(axes)) == ["sb"]
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 50
