"""Final error against the share of wrong labels."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kbench.analysis.compare import compare
from kbench.analysis.frame import Frames
from kbench.analysis.interval import estimate
from kbench.errors import ResultsError
from kbench.figures.registry import kinds_for

FINALS = {  # by noise and strategy, of three seeds
    (0.001, "baseline"): (0.99, 0.98, 0.985), (0.001, "sb"): (0.99, 0.97, 0.98),
    (0.2, "baseline"): (0.95, 0.93, 0.94), (0.2, "sb"): (0.8, 0.7, 0.75),
}  # fmt: skip


@pytest.fixture
def frames(book: Any) -> Frames:
    """A baseline and a method on two pairs that differ in nothing but their noise."""
    for (noise, strategy), finals in FINALS.items():
        for seed, final in enumerate(finals):
            book.run(strategy, seed, [0.5, final], [1.0, 1.0], pair=f"noise-{noise:g}".replace(".", "-"))
    found: Frames = book.frames()
    found.runs["noise"] = np.where(found.runs["pair"] == "noise-0-2", 0.2, 0.001)
    found.runs["noise_key"] = "one"
    return found


def test_a_point_is_the_mean_of_the_final_errors_with_its_interval_over_seeds(frames: Frames, data_of: Any) -> None:
    data = data_of("robustness", frames)
    assert list(data["noise"]) == [0.001, 0.2] * 2 and set(data["pair"]) == {"noise-0-001, noise-0-2"}
    for row in data.itertuples():
        expected = estimate([1 - final for final in FINALS[row.noise, row.strategy]])
        assert expected.ci and (row.error, row.low, row.high) == pytest.approx((expected.mean, *expected.ci))
    assert set(data["metric"]) == {"top-1 accuracy"} and set(data["seeds"]) == {3}


def test_a_line_leads_over_the_shares_of_wrong_labels(frames: Frames, draw: Any, lines: Any) -> None:
    drawn = draw("robustness", frames)
    (axes,) = drawn.figure.axes
    assert axes.get_ylabel() == "top-1 error after the last epoch [%]"
    found = lines(axes)
    assert list(found) == drawn.named == ["baseline", "sb"]
    np.testing.assert_allclose(found["sb"].get_ydata(), [2, 25])
    np.testing.assert_allclose(found["sb"].get_xdata(), [0.1, 20], atol=0.2)  # intervals stand beside one another
    assert found["sb"].get_xdata()[0] > found["baseline"].get_xdata()[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.1", "20"]


def test_two_seeds_have_no_interval_and_the_title_promises_none(frames: Frames, draw: Any) -> None:
    assert draw("robustness", frames).figure.axes[0].get_title().replace("\n", " ").endswith("95 % interval of 3 seeds")
    few = Frames(frames.name, frames.epochs, frames.runs[frames.runs["seed"] < 2])
    drawn = draw("robustness", few)
    assert drawn.data[["low", "high"]].isna().all(axis=None)
    assert drawn.figure.axes[0].get_title().replace("\n", " ").endswith("mean of 2 seeds")


def test_a_title_says_that_some_points_have_no_interval(frames: Frames, draw: Any) -> None:
    is_left_out = (frames.runs["pair"] == "noise-0-2") & (frames.runs["seed"] == 2)
    drawn = draw("robustness", Frames(frames.name, frames.epochs, frames.runs[~is_left_out]))
    assert drawn.figure.axes[0].get_title().replace("\n", " ").endswith("95 % interval where known of 2-3 seeds")


def test_pairs_that_differ_in_more_than_their_noise_are_on_no_line(frames: Frames, data_of: Any) -> None:
    frames.runs["noise_key"] = frames.runs["pair"]
    with pytest.raises(ResultsError, match="no two pairs differ in nothing but the noise"):
        data_of("robustness", frames)


def test_a_pair_of_another_recipe_has_a_line_of_its_own(frames: Frames, data_of: Any) -> None:
    more = frames.runs.assign(pair="lr-" + frames.runs["pair"], run_id="lr-" + frames.runs["run_id"], noise_key="two")
    more = more.assign(match_key="lr-" + more["match_key"])
    epochs = frames.epochs.assign(pair="lr-" + frames.epochs["pair"], run_id="lr-" + frames.epochs["run_id"])
    both = Frames("both", pd.concat([frames.epochs, epochs]), pd.concat([frames.runs, more], ignore_index=True))
    data = data_of("robustness", both)
    assert set(data["pair"]) == {"noise-0-001, noise-0-2", "lr-noise-0-001, lr-noise-0-2"} and len(data) == 8


def test_an_experiment_without_two_levels_of_noise_lacks_no_figure(frames: Frames) -> None:
    assert kinds_for(["robustness"], compare(frames, baseline="baseline", targets=())) == ["robustness"]
    frames.runs["noise"] = 0.0
    assert kinds_for(["robustness"], compare(frames, baseline="baseline", targets=())) == []
