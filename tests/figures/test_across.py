"""Figures across pairs show what the table across pairs says."""

from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.errors import ResultsError
from kbench.figures.draw import draw_figures
from kbench.figures.registry import FIGURES, kinds_for

THREE = ("a", "b", "c")


@pytest.fixture(scope="module")
def frames(invent: Any) -> Any:
    return invent(("baseline", "random", "sb"), THREE, 3, 8)


def test_points_and_intervals_are_those_of_the_table(frames: Any, draw: Any, lines: Any) -> None:
    across = compare(frames, baseline="baseline", targets=()).across
    assert across is not None
    drawn = draw("iqm", frames)
    for row in across.rows[1:]:
        assert lines(drawn.figure.axes[0])[row.strategy].get_xdata()[0] == pytest.approx(100 * (row.time_iqm or 0))
        (shown,) = drawn.data[
            (drawn.data["strategy"] == row.strategy) & (drawn.data["quantity"] == "time_iqm")
        ].itertuples()
        assert (shown.low, shown.high) == row.time_iqm_ci


def test_a_probability_without_an_interval_is_hollow_and_the_legend_says_so(frames: Any, draw: Any, lines: Any) -> None:
    drawn = draw("improvement", frames)
    data = drawn.data[drawn.data["quantity"] == "better"].set_index("strategy")
    for name, line in lines(drawn.figure.axes[1]).items():
        assert (line.get_markerfacecolor() == "none") == bool(data.loc[name].isna()["low"])
    assert drawn.data["low"].isna().any() == bool(drawn.named)


def test_the_legend_says_what_a_hollow_mark_is(invent: Any, draw: Any) -> None:
    drawn = draw("improvement", invent(("baseline", "sb"), THREE, 2, 2))  # two seeds have no interval
    assert drawn.named == ["no interval: too few seeds, or all alike"]


def test_a_profile_rises_by_a_pair_at_each_ratio_and_the_legend_has_the_score(
    frames: Any, draw: Any, lines: Any
) -> None:
    across = compare(frames, baseline="baseline", targets=()).across
    assert across is not None
    drawn = draw("profile", frames)
    (profile,) = across.rows[0].profiles
    line = lines(drawn.figure.axes[0])["baseline"]
    assert line.get_ydata()[-1] == pytest.approx(100 * profile.n_solved / 3) and line.get_xdata()[-1] == 4
    assert drawn.named[0] == f"baseline  {profile.score:.2f}"


def test_an_experiment_of_one_pair_lacks_no_figure_and_refuses_one_that_is_named(invent: Any, tmp_path: Any) -> None:
    frames = invent(("baseline", "sb"), ("a",), 3, 3)
    comparison = compare(frames, baseline="baseline", targets=())
    assert set(FIGURES) - set(kinds_for(list(FIGURES), comparison)) == {"profile", "iqm", "improvement", "robustness"}
    with pytest.raises(ResultsError, match="3 pairs or more"):
        draw_figures(frames, comparison, ["profile"], tmp_path)
