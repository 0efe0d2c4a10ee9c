"""Accuracy over time: the means, the panels, and the strip below with the change of a whole run's time."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kbench.analysis.compare import compare
from kbench.errors import ResultsError
from kbench.figures.layout import options_for, save

SEVEN = ("baseline", "random", "budget", "iswr", "forget", "sb", "kakurenbo")


def test_it_has_the_mean_and_the_range_over_seeds_of_each_epoch(book: Any, data_of: Any) -> None:
    for seed in range(2):
        book.run("baseline", seed, [0.9], [9.0])
    book.run("sb", 0, [0.5, 0.75], [1.0, 1.0])
    book.run("sb", 1, [0.25, 1.0], [3.0, 3.0])
    found = data_of("curves", book.frames())
    columns = ["epoch", "seconds", "seconds_min", "seconds_max", "acc", "acc_min", "acc_max", "seeds"]
    assert found[found["strategy"] == "sb"][columns].to_numpy().tolist() == [
        [0, pytest.approx(3.0**0.5), 1.0, 3.0, 0.375, 0.25, 0.5, 2],
        [1, pytest.approx(12.0**0.5), 2.0, 6.0, 0.875, 0.75, 1.0, 2],
    ]


def test_pairs_and_strategies_are_kept_apart(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.5], [1.0])
    book.run("baseline", 0, [0.9], [7.0], pair="q")
    book.run("iswr", 0, [0.7], [3.0])
    found = data_of("curves", book.frames())
    shown = set(found[["pair", "strategy", "seconds", "acc"]].itertuples(index=False, name=None))
    assert shown == {
        ("p", "baseline", 1.0, 0.5),
        ("q", "baseline", 7.0, 0.9),
        ("p", "iswr", 3.0, 0.7),
    }


def test_a_seed_without_a_baseline_is_left_out_as_in_the_table(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.5], [1.0])
    book.run("sb", 0, [0.7], [3.0])
    book.run("sb", 1, [0.1], [100.0])
    assert data_of("curves", book.frames())["seconds"].tolist() == [1.0, 3.0]


def test_an_epoch_that_not_every_seed_has_is_left_out(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.5, 0.6, 0.7], [1.0, 1.0, 1.0])
    book.run("baseline", 1, [0.5, 0.6], [1.0, 1.0])
    assert data_of("curves", book.frames())["epoch"].tolist() == [0, 1]


def test_the_change_and_the_total_of_time_are_those_of_the_table(book: Any, data_of: Any) -> None:
    for seed, (base, own) in enumerate([(10.0, 7.0), (12.0, 8.0), (9.0, 9.5)]):
        book.run("baseline", seed, [0.5, 0.9], [base, base])
        book.run("sb", seed, [0.5, 0.9], [own, own])
    frames = book.frames()
    rows = {row.strategy: row for row in compare(frames, baseline="baseline", targets=()).rows}
    ends = data_of("curves", frames).groupby("strategy").last()
    assert ends["seconds"].to_dict() == pytest.approx({name: row.train_s for name, row in rows.items()})
    assert ends.loc["sb", "time_diff"] == rows["sb"].time_diff
    assert math.isnan(ends.loc["baseline", "time_diff"])


def test_an_earlier_phase_is_where_a_curve_starts(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.5], [1.0])
    book.run("forget", 0, [0.5, 0.9], [5.0, 5.0], score=[(0.6, 10.0)])
    found = data_of("curves", book.frames())
    assert found[found["strategy"] == "forget"]["seconds"].tolist() == [15.0, 20.0]


def test_results_without_times_have_no_curve_over_time(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=3)
    frames.epochs["elapsed_s"] = np.nan
    with pytest.raises(ResultsError, match="no run has a time") as caught:
        data_of("curves", frames)
    assert "--kind epochs" in caught.value.hint
    assert len(data_of("epochs", frames)) == 6


@pytest.mark.parametrize(("kind", "x"), [("curves", "seconds"), ("epochs", "epoch")])
def test_a_curve_is_the_mean_of_the_data_in_percent(kind: str, x: str, invent: Any, draw: Any, lines: Any) -> None:
    drawn = draw(kind, invent())
    own = drawn.data[drawn.data["strategy"] == "forget"]
    expected = np.column_stack([own[x], 100 * own["acc"]])
    np.testing.assert_allclose(lines(drawn.figure.axes[0])["forget"].get_xydata(), expected)


def test_the_band_of_a_curve_is_the_range_of_its_seeds(invent: Any, draw: Any) -> None:
    drawn = draw("curves", invent(("baseline",), epochs=5))
    (band,) = drawn.figure.axes[0].collections
    (corners,) = [path.vertices for path in band.get_paths()]
    own = drawn.data
    expected = {
        (round(x, 6), round(100 * y, 6)) for y in ("acc_min", "acc_max") for x, y in zip(own["seconds"], own[y])
    }
    assert expected <= {(round(x, 6), round(y, 6)) for x, y in corners}


def test_the_strip_names_each_strategy_with_its_change_of_time(invent: Any, draw: Any) -> None:
    drawn = draw("curves", invent(("baseline", "random", "mine")))
    change = drawn.data.groupby("strategy")["time_diff"].first()
    named = [text.get_text() for text in drawn.figure.axes[1].texts if text.get_text()]
    assert named == ["baseline", f"random  {100 * change['random']:+.1f} %", f"mine  {100 * change['mine']:+.1f} %"]


def test_an_arrow_leads_from_the_baseline_s_end_to_that_of_the_strategy(invent: Any, draw: Any) -> None:
    drawn = draw("curves", invent(("baseline", "sb")))
    ends = drawn.data.groupby("strategy")["seconds"].last()
    (arrow,) = [text for text in drawn.figure.axes[1].texts if not text.get_text()]
    assert (arrow.xyann[0], arrow.xy[0]) == (ends["baseline"], ends["sb"])


def test_leaders_lead_from_the_strip_to_the_end_of_the_curve(invent: Any, draw: Any) -> None:
    drawn = draw("curves", invent(("baseline", "sb")))
    top, strip = drawn.figure.axes
    assert top.get_xlim() == strip.get_xlim()
    places = [axes.get_window_extent(drawn.renderer) for axes in (top, strip)]
    np.testing.assert_allclose([box.x0 for box in places], places[0].x0)
    np.testing.assert_allclose([box.x1 for box in places], places[0].x1)


@pytest.mark.parametrize("size", ["screen", "one", "two"])
def test_the_names_in_the_strip_do_not_lie_on_one_another_nor_on_an_arrow(size: str, invent: Any, draw: Any) -> None:
    drawn = draw("curves", invent(), size=size)
    strip = drawn.figure.axes[1]
    boxes = [text.get_window_extent(drawn.renderer).shrunk(0.99, 0.8) for text in strip.texts if text.get_text()]
    assert len(boxes) == len(SEVEN)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    arrows = [strip.transData.transform([text.xyann, text.xy]) for text in strip.texts if not text.get_text()]
    assert not any(box.contains(*end) for box in boxes for arrow in arrows for end in arrow)


def test_the_axis_is_named_after_the_metric(invent: Any, draw: Any) -> None:
    for metric, label in (("top1", "top-1 accuracy [%]"), ("mean IoU", "mean IoU [%]"), (None, "accuracy [%]")):
        drawn = draw("curves", invent(("baseline", "sb"), epochs=3, metric=metric))
        assert drawn.figure.axes[0].get_ylabel() == label


def test_a_single_epoch_can_be_drawn(invent: Any, draw: Any, lines: Any) -> None:
    assert len(lines(draw("curves", invent(("baseline", "sb"), epochs=1)).figure.axes[0])) == 2


@pytest.mark.parametrize("kind", ["curves", "epochs"])
def test_a_strategy_looks_the_same_in_every_panel(kind: str, invent: Any, draw: Any, lines: Any) -> None:
    frames = invent(("baseline", "mine", "yours"), ("p", "q"), epochs=3)
    gone = (frames.runs["pair"] == "p") & (frames.runs["strategy"] == "mine")
    frames.runs.loc[gone, "state"] = "failed"
    drawn = draw(kind, frames)
    found = [lines(axes)["yours"] for axes in drawn.figure.axes if "yours" in lines(axes)]
    assert len(found) == 2
    assert len({(line.get_color(), str(line.get_marker())) for line in found}) == 1


def test_the_text_of_an_svg_stays_text(tmp_path: Path, invent: Any, draw: Any) -> None:
    drawn = draw("curves", invent())
    written = save(drawn.figure, drawn.data, tmp_path / "figure.svg").read_text()
    assert re.search(r"<text[^>]*>kakurenbo  [+-]\d+\.\d %</text>", written)


def test_the_view_of_a_comparison_has_all_strategies_in_the_order_of_the_table(invent: Any) -> None:
    comparison = compare(invent(SEVEN, ("p", "q"), epochs=2), baseline="baseline", targets=())
    assert options_for(comparison).strategies == SEVEN


def test_names_that_do_not_fit_in_the_strip_stand_in_a_key(invent: Any, draw: Any) -> None:
    names = ("baseline", *"abcdefgh", "selective-backprop-at-half-of-the-data")
    drawn = draw("curves", invent(names, epochs=5), size="one")
    assert drawn.named == list(names)
    assert not any(name in text.get_text() for text in drawn.figure.axes[1].texts for name in names)
