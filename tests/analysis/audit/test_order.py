"""A drift over the places of a block is found, and said where it may have made a difference."""

from typing import Any

from kbench.analysis.compare import compare
from kbench.analysis.rows import Comparison

ORDERS = [["baseline", "mine", "other"], ["mine", "other", "baseline"], ["other", "mine", "baseline"]]
NOISE = {"baseline": [1.0, 1.001, 0.999], "mine": [0.9995, 1.0, 1.001], "other": [1.001, 0.999, 1.0005]}


def compared(book: Any, *, per_place: float, recorded: bool = True) -> Comparison:
    for seed, order in enumerate(ORDERS):
        for place, strategy in enumerate(order):
            at = (f"block-{seed}", place) if recorded else None
            seconds = 10.0 * (1 + per_place) ** place * NOISE[strategy][seed]
            book.run(strategy, seed, [0.8, 0.9], [seconds, seconds], at=at)
    return compare(book.frames(), baseline="baseline", targets=[])


def test_a_drift_that_may_have_made_a_difference_is_a_warning_and_widens_its_interval(book: Any) -> None:
    found = compared(book, per_place=0.05)
    drift = [finding for finding in found.findings if finding.kind == "drift"]
    assert [finding.severity for finding in drift] == ["warning"] and "a run took +5.0% for each run before it" in (
        drift[0].text
    )
    assert "mine (-3" in drift[0].text
    mine = next(row for row in found.rows if row.strategy == "mine")
    assert mine.time_diff is not None and mine.time_diff < -0.03 and mine.time_diff_ci and mine.time_diff_ci[1] > 0


def test_the_interval_against_a_control_that_always_comes_after_its_method_allows_for_the_drift(book: Any) -> None:
    orders = [["baseline", "mine", "other"], ["mine", "other", "baseline"], ["mine", "baseline", "other"]]
    cis = []
    for recorded in (False, True):
        for seed, order in enumerate(orders):
            for place, strategy in enumerate(order):
                seconds, at = 10.0 * 1.05**place * NOISE[strategy][seed], (f"block-{seed}", place)
                own = {"name": "random", "role": "control"} if strategy == "other" else {}
                book.run(strategy, seed, [0.9], [seconds], at=at if recorded else None, **own)
        (test,) = compare(book.frames(), baseline="baseline", targets=[]).controls
        assert (test.row.strategy, test.control) == ("mine", "other")
        cis.append(test.row.time_diff_ci)
    assert cis[0] and cis[1] and cis[1][0] <= cis[0][0] and cis[1][1] > max(cis[0][1], 0.0)


def test_a_steady_machine_has_no_such_finding(book: Any) -> None:
    assert not [finding for finding in compared(book, per_place=0.0).findings if finding.kind == "drift"]


def test_places_that_are_not_on_record_tell_nothing(book: Any) -> None:
    assert not [f for f in compared(book, per_place=0.05, recorded=False).findings if f.kind == "drift"]
