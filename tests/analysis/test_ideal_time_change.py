"""What a method could save at best."""

import math
from typing import Any

import pytest

from kbench.analysis.frame import Frames
from kbench.analysis.pairing import pair_runs, sums
from kbench.analysis.rows import ideal_time_change


def ceiling(frames: Frames) -> float | None:
    both = pair_runs(frames, "baseline")
    own = both[both["strategy"] == "mine"]
    return ideal_time_change(sums(own), sums(own, "_base"))


# The baseline: 1,000 samples in 10 s, 4 s of which are forward passes: 10 ms a training, 4 ms a look.
BASE = {"n_trained": 1000, "forward_s": 4.0}


def test_samples_left_out_save_their_share_of_the_time(book: Any) -> None:
    book.run("baseline", 0, [0.9], [10.0], **BASE)
    book.run("mine", 0, [0.9], [9.9], n_trained=700)
    assert ceiling(book.frames()) == pytest.approx(-0.3)


def test_a_look_that_cost_more_than_the_baseline_s_is_priced_as_the_baseline_s(book: Any) -> None:
    book.run("baseline", 0, [0.9], [10.0], **BASE)
    book.run("mine", 0, [0.9], [9.9], n_trained=700, n_refreshed=300, refresh_s=3.0)
    assert ceiling(book.frames()) == pytest.approx((7.0 + 300 * 0.004) / 10 - 1)  # -0.18


def test_a_look_that_cost_less_is_priced_as_what_it_cost(book: Any) -> None:
    book.run("baseline", 0, [0.9], [10.0], **BASE)
    book.run("mine", 0, [0.9], [9.9], n_trained=700, n_refreshed=300, refresh_s=0.6)
    assert ceiling(book.frames()) == pytest.approx((7.0 + 300 * 0.002) / 10 - 1)  # -0.24


def test_scoring_is_priced_as_looks_too(book: Any) -> None:
    book.run("baseline", 0, [0.9], [10.0], **BASE)
    book.run("mine", 0, [0.9], [9.9], n_trained=500, n_scored=1000, select_s=9.0)
    assert ceiling(book.frames()) == pytest.approx((5.0 + 1000 * 0.004) / 10 - 1)  # -0.1


def test_remembering_without_looking_has_no_price(book: Any) -> None:
    book.run("baseline", 0, [0.9], [10.0], **BASE)
    book.run("mine", 0, [0.9], [9.9], n_trained=1000, select_s=2.0)
    assert ceiling(book.frames()) == pytest.approx(0.0)


def test_every_epoch_of_every_phase_counts(book: Any) -> None:
    book.run("baseline", 0, [0.8, 0.9], [10.0, 10.0], **BASE)
    book.run("mine", 0, [0.8, 0.9], [6.0, 6.0], score=[(0.5, 9.0)], n_trained=700)
    assert ceiling(book.frames()) == pytest.approx(2100 * 0.01 / 20 - 1)  # +0.05


def test_seeds_are_taken_together(book: Any) -> None:
    book.run("baseline", 0, [0.9], [10.0], **BASE)
    book.run("baseline", 1, [0.9], [30.0], n_trained=1000, forward_s=12.0)
    book.run("mine", 0, [0.9], [9.0], n_trained=500)
    book.run("mine", 1, [0.9], [20.0], n_trained=700)
    assert ceiling(book.frames()) == pytest.approx(1200 * 0.02 / 40 - 1)  # -0.4


@pytest.mark.parametrize("base", [{"n_trained": 0, "forward_s": 4.0}, {"n_trained": 1000, "forward_s": 0.0}])
def test_without_the_parts_of_the_baseline_s_time_it_is_not_known(book: Any, base: dict[str, float]) -> None:
    book.run("baseline", 0, [0.9], [10.0], **base)
    book.run("mine", 0, [0.9], [9.0], n_trained=700)
    assert ceiling(book.frames()) is None


@pytest.mark.parametrize("name", ["n_trained", "train_s", "n_scored", "n_refreshed"])
def test_where_a_log_does_not_tell_what_was_done_it_is_not_known(name: str) -> None:
    base = {"train_s": 10.0, "n_trained": 1000.0, "forward_s": 4.0}
    own = {"n_trained": 700.0, "n_scored": 10.0, "select_s": 1.0, "n_refreshed": 10.0, "refresh_s": 1.0}
    known = ideal_time_change(own, base)
    place = base if name == "train_s" else own
    place[name] = math.nan
    assert (known is not None, ideal_time_change(own, base)) == (True, None)


def test_looks_that_did_not_happen_need_no_price() -> None:
    base = {"train_s": 10.0, "n_trained": 1000.0, "forward_s": 4.0}
    own = {"n_trained": 700.0, "n_scored": 0.0, "select_s": math.nan, "n_refreshed": 0.0, "refresh_s": math.nan}
    assert ideal_time_change(own, base) == pytest.approx(-0.3)
