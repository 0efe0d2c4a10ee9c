"""Error against cost, and the front."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kbench.analysis.compare import compare
from kbench.analysis.frame import Clock
from kbench.errors import ResultsError


def told(book: Any) -> Any:
    """Four strategies, of which c is beaten by b, and d costs most and errs least."""
    for name, acc, seconds in (("baseline", 0.8, 10.0), ("b", 0.7, 5.0), ("c", 0.6, 6.0), ("d", 0.9, 20.0)):
        book.run(name, 0, [0.1, acc], [seconds / 2, seconds / 2])
    return book.frames()


def test_the_front_has_whom_nobody_beats(book: Any, data_of: Any) -> None:
    data = data_of("pareto", told(book))
    front = data[data["seed"].isna() & (data["cost"] == "total_train_s") & data["on_front"].eq(True)]
    assert sorted(front["strategy"]) == ["b", "baseline", "d"]


def test_of_two_that_cost_the_same_the_better_is_on_the_front(book: Any, data_of: Any) -> None:
    data = data_of("pareto", told(book))
    front = data[data["seed"].isna() & (data["cost"] == "n_trained") & data["on_front"].eq(True)]
    assert list(front["strategy"]) == ["d"]


def test_it_has_a_row_per_seed_and_one_of_their_mean(book: Any, data_of: Any) -> None:
    for seed, (acc, seconds) in enumerate([(0.75, 10.0), (0.5, 20.0)]):
        book.run("baseline", seed, [acc], [seconds], n_trained=50)
    data = data_of("pareto", book.frames())
    own = data[data["cost"] == "total_train_s"]
    assert own[["amount", "error"]].to_numpy().tolist() == [[10.0, 0.25], [20.0, 0.5], [pytest.approx(200**0.5), 0.375]]
    assert own["seed"].isna().tolist() == [False, False, True]
    assert data.loc[data["cost"] == "n_trained", "amount"].tolist() == [50, 50, 50]


@pytest.mark.parametrize(("clock", "cost"), [("train", "total_train_s"), ("total", "total_s")])
def test_the_mean_of_either_time_is_that_of_the_table(clock: Clock, cost: str, book: Any, data_of: Any) -> None:
    for seed, seconds in enumerate([10.0, 30.0]):
        book.run("baseline", seed, [0.5], [seconds])
    frames = book.frames()
    frames = replace(frames, runs=frames.runs.assign(total_s=[12.0, 48.0]), clock=clock)
    data, row = data_of("pareto", frames), compare(frames, baseline="baseline", targets=()).rows[0]
    mean = data.loc[(data["cost"] == cost) & data["seed"].isna(), "amount"].tolist()
    assert mean == [pytest.approx(row.train_s if clock == "train" else row.total_s)]
    assert mean == [pytest.approx(300**0.5 if clock == "train" else 24.0)]


def test_the_error_is_that_of_the_last_epoch_as_in_the_table(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.5, 0.75, 0.25], [1.0, 1.0, 1.0])
    assert set(data_of("pareto", book.frames())["error"]) == {0.75}


def test_without_times_the_samples_are_left(invent: Any, draw: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=3)
    frames.runs["total_train_s"] = np.nan
    drawn = draw("pareto", frames)
    assert [axes.get_xlabel() for axes in drawn.figure.axes] == ["samples trained on [thousand]"]


def test_where_no_run_is_timed_the_samples_are_left(invent: Any, data_of: Any, monkeypatch) -> None:
    frames = invent(("baseline", "sb"), epochs=3)
    monkeypatch.setattr("kbench.analysis.frame.Frames.untimed", frozenset(frames.runs["run_id"]))
    assert set(data_of("pareto", frames)["cost"]) == {"n_trained"}


def test_a_strategy_with_a_seed_of_unknown_cost_is_left_out(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=3)
    frames.runs.loc[frames.runs["run_id"] == "p.sb.s1", "total_train_s"] = np.nan
    data = data_of("pareto", frames)
    assert set(data.loc[data["cost"] == "total_train_s", "strategy"]) == {"baseline"}


def test_without_any_cost_there_is_no_figure(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=3)
    frames.runs[["total_train_s", "n_trained"]] = np.nan
    with pytest.raises(ResultsError, match="both an accuracy and a cost"):
        data_of("pareto", frames)


def test_means_are_marked_and_seeds_are_points(invent: Any, draw: Any, lines: Any) -> None:
    drawn = draw("pareto", invent(("baseline", "sb"), epochs=3))
    axes = drawn.figure.axes[0]
    own = drawn.data[(drawn.data["strategy"] == "sb") & (drawn.data["cost"] == "total_train_s")]
    places = np.column_stack([own["amount"], 100 * own["error"]])
    np.testing.assert_allclose(lines(axes)["sb"].get_xydata(), places[3:])
    seeds = [line for line in axes.get_lines() if line.get_label() == "_seeds"]
    np.testing.assert_allclose(seeds[1].get_xydata(), places[:3])


def test_the_line_of_the_front_leads_over_its_means_in_steps(book: Any, draw: Any) -> None:
    (front,) = [ln for ln in draw("pareto", told(book)).figure.axes[0].get_lines() if ln.get_label() == "_front"]
    np.testing.assert_allclose(front.get_xydata(), [[5, 30], [10, 30], [10, 20], [20, 20], [20, 10]])


def test_names_stand_beside_the_marks_where_they_fit(book: Any, draw: Any) -> None:
    drawn = draw("pareto", told(book))
    assert [text.get_text() for text in drawn.figure.axes[0].texts] == ["baseline", "b", "c", "d"]
    assert not drawn.figure.legends


def test_names_lie_on_no_mark_on_no_line_and_on_no_other_name(invent: Any, draw: Any) -> None:
    drawn = draw("pareto", invent(epochs=30))
    axes = drawn.figure.axes[0]
    names = [text.get_window_extent(drawn.renderer) for text in axes.texts]
    assert len(names) == 7
    assert not any(a.overlaps(b) for i, a in enumerate(names) for b in names[:i])
    marks = [axes.transData.transform(line.get_xydata()) for line in axes.get_lines()]
    assert not any(box.contains(x, y) for box in names for line in marks for x, y in line)


def test_where_names_do_not_fit_there_is_a_key(invent: Any, draw: Any) -> None:
    frames = invent(epochs=3)
    frames.runs[["final_acc1", "total_train_s"]] = [0.5, 10.0]  # all in one place
    drawn = draw("pareto", frames)
    assert not any(axes.texts for axes in drawn.figure.axes)
    assert drawn.named == list(dict.fromkeys(frames.runs["strategy"]))


def test_errors_over_a_decade_stand_on_a_logarithmic_axis(book: Any, draw: Any) -> None:
    book.run("baseline", 0, [0.99], [1.0])
    book.run("sb", 0, [0.5], [1.0])
    assert draw("pareto", book.frames()).figure.axes[0].get_yscale() == "log"


def test_the_error_is_named_after_the_metric(invent: Any, draw: Any) -> None:
    for metric, label in (("top1", "top-1 error"), ("mean IoU", "1 - mean IoU"), (None, "error")):
        drawn = draw("pareto", invent(("baseline", "sb"), epochs=3, metric=metric))
        assert drawn.figure.axes[0].get_ylabel() == f"{label} after the last epoch [%]"
