"""How fast a target was reached; a run that never reached it never makes its strategy look better."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from kbench.analysis.curve import Curve
from kbench.analysis.time_to_target import Rule, Target, TimeToTarget, parse_target, time_to_target

Points = Sequence[tuple[float, float]]
MISSED = ((10.0, 0.5), (20.0, 0.6))


def curve(points: Points) -> Curve:
    seconds, accuracy = zip(*points, strict=True)
    return Curve(pair="p", strategy="s", seed=0, match_key="k", seconds=seconds, accuracy=accuracy, start_s=0.0)


def found(pairs: Sequence[tuple[Points, Points]], target: float | None = 0.9, rule: Rule = "first") -> TimeToTarget:
    curves = [(curve(own), curve(base)) for own, base in pairs]
    return time_to_target(curves, "0.9", target, is_baseline=False, rule=rule)


def at(seconds: float) -> Points:
    """A run that reaches the target then and trains ten seconds more."""
    return ((seconds / 2, 0.5), (seconds, 0.9), (seconds + 10, 0.95))


def test_where_all_reached_it_the_speed_up_is_a_mean_and_nothing_is_a_bound() -> None:
    it = found([(at(5.0), at(10.0)), (at(10.0), at(10.0)), (at(5.0), at(20.0))], rule="sustained")
    assert (it.reached, it.seconds, it.speedup) == (3, pytest.approx(250 ** (1 / 3)), pytest.approx(2.0))
    assert it.seconds_base is not None and it.seconds is not None
    assert it.seconds_base / it.seconds == pytest.approx(it.speedup)
    assert it.speedup_ci is not None
    assert (it.speedup_at_least, it.speedup_median, it.speedup_median_ci) == (None, None, None)


def test_the_median_is_there_from_six_seeds_on_whether_all_reached_it_or_not() -> None:
    it = found([(at(5.0), at(10.0))] * 5 + [(at(5.0), at(40.0))], rule="sustained")
    assert (it.speedup, it.speedup_median, it.speedup_median_ci) == (pytest.approx(2 * 4 ** (1 / 6)), 2.0, (2.0, 8.0))


def test_two_seeds_have_a_range() -> None:
    it = found([(at(5.0), at(10.0)), (at(5.0), at(20.0))])
    assert (it.speedup_ci, it.speedup_range) == (None, pytest.approx((2.0, 4.0)))


def test_a_run_that_missed_it_is_counted_and_leaves_no_mean() -> None:
    it = found([(at(5.0), at(10.0)), (MISSED, at(10.0)), (at(5.0), at(10.0))])
    assert (it.reached, it.seconds, it.speedup, it.speedup_at_least) == (2, None, None, None)


def test_where_only_the_baseline_missed_it_the_speed_up_is_at_least_its_total_over_the_time() -> None:
    it = found([(at(5.0), MISSED), (at(10.0), at(10.0))])
    assert (it.reached, it.seconds, it.speedup) == (2, pytest.approx(math.sqrt(50.0)), None)
    assert it.speedup_at_least == pytest.approx(math.sqrt(20.0 / 5.0))


def test_where_nobody_reached_it_nothing_is_said() -> None:
    it = found([(MISSED, MISSED)] * 7)
    assert (it.reached, it.seconds, it.speedup, it.speedup_at_least, it.speedup_median) == (0, None, None, None, None)


def test_in_the_median_a_miss_counts_as_never() -> None:
    it = found([(at(5.0), at(10.0)), (MISSED, at(10.0)), *[(at(s), at(12.0)) for s in (4.0, 6.0, 8.0, 12.0)]])
    assert it.speedup_median == 1.5  # of 0, 1, 1.5, 2, 2, 3: the lower of the two in the middle
    assert it.speedup_median_ci == (0.0, 3.0)


def test_five_seeds_have_no_median() -> None:
    it = found([(MISSED, at(10.0)), *[(at(5.0), at(10.0))] * 4])
    assert (it.speedup_median, it.speedup_median_ci) == (None, None)


def test_a_baseline_that_missed_it_leaves_the_median_without_an_upper_bound() -> None:
    it = found([(at(5.0), MISSED), *[(at(5.0), at(10.0))] * 5], rule="sustained")
    assert it.speedup_median_ci == (2.0, None)


def test_of_a_target_that_is_not_known_nothing_is_said() -> None:
    it = found([(at(5.0), at(10.0))], None)
    assert (it.target, it.reached, it.seconds, it.speedup) == (None, None, None, None)


UNTOLD = ((10.0, math.nan), (20.0, math.nan))


def test_a_run_without_any_accuracy_on_record_neither_reached_nor_missed_it() -> None:
    it = found([(at(5.0), at(10.0)), (UNTOLD, at(10.0))])
    assert (it.reached, it.seconds, it.speedup, it.speedup_at_least) == (None, None, None, None)


def test_beside_a_baseline_without_any_accuracy_on_record_there_is_no_speed_up() -> None:
    it = found([(at(5.0), UNTOLD)] * 7)
    assert (it.reached, it.seconds, it.speedup, it.speedup_at_least, it.speedup_median) == (7, 5.0, None, None, None)


def test_a_target_reached_at_a_time_that_nobody_wrote_down_has_no_seconds() -> None:
    it = found([(((math.nan, 0.95),), at(10.0))] * 7)
    assert (it.reached, it.seconds, it.speedup, it.speedup_median) == (7, None, None, None)


def random_points(rng: np.random.Generator) -> Points:
    n = int(rng.integers(2, 12))
    accuracy = 0.95 * (1 - np.exp(-np.arange(1, n + 1) / 4)) + rng.normal(0, 0.05, n)
    return list(zip(rng.uniform(0.5, 2.0, n).cumsum().tolist(), accuracy.tolist(), strict=True))


def claims(it: TimeToTarget) -> dict[str, float]:
    """All that is reported of how fast it was, by name; what is not reported is not claimed."""
    low, high = it.speedup_median_ci or (None, None)
    named = {"reached": it.reached, "mean": it.speedup, "at least": it.speedup_at_least, "median": it.speedup_median}
    named |= {"low": low, "high": math.inf if it.speedup_median_ci and high is None else high}
    return {name: value for name, value in named.items() if value is not None}


def test_a_touch_that_does_not_hold_is_not_sustained() -> None:
    spike = ((5.0, 0.91), (10.0, 0.8), (15.0, 0.92), (20.0, 0.93))
    it = found([(spike, at(10.0))], rule="sustained")
    assert (it.seconds, it.seconds_base, it.speedup) == (15.0, 10.0, pytest.approx(10 / 15))
    assert found([(spike[:3], at(10.0))], rule="sustained").reached == 0  # nothing shows that the last one holds


def test_by_the_clock_a_run_is_seen_at_the_times_of_the_longer_epochs() -> None:
    fine = tuple((2.5 * i, 0.95 if i in (1, 4) else 0.5) for i in range(1, 9))
    it = found([(fine, ((5.0, 0.5), (10.0, 0.95), (15.0, 0.95), (20.0, 0.95)))], rule="clock")
    assert (it.seconds, it.seconds_base) == (10.0, 10.0)  # the touch at 2.5 s is between two looks


@pytest.mark.parametrize("rule", ["first", "sustained"])
@pytest.mark.parametrize("seeds", [1, 3, 8])
def test_cutting_the_end_off_a_method_s_run_never_raises_what_is_reported(seeds: int, rule: Rule) -> None:
    rng = np.random.default_rng(seeds)
    n_worse = 0
    for _ in range(400):
        pairs = [(random_points(rng), random_points(rng)) for _ in range(seeds)]
        target = float(rng.uniform(0.3, 0.9))
        whole = claims(found(pairs, target, rule))
        cut = claims(found([(own[: int(rng.integers(1, len(own) + 1))], base) for own, base in pairs], target, rule))
        n_worse += cut["reached"] < whole["reached"]
        assert cut.keys() - {"low", "high"} <= whole.keys()  # which depend on how long the epochs are
        assert all(cut[name] <= whole[name] for name in cut.keys() & whole.keys()), (target, whole, cut)
    assert n_worse > 50


@pytest.mark.parametrize("seeds", [1, 3, 8])
def test_cutting_the_end_off_the_baseline_s_run_never_raises_the_least_that_is_claimed(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    for _ in range(400):
        pairs = [(random_points(rng), random_points(rng)) for _ in range(seeds)]
        target = float(rng.uniform(0.3, 0.9))
        whole = claims(found(pairs, target))
        cut = claims(found([(own, base[: int(rng.integers(1, len(base) + 1))]) for own, base in pairs], target))
        assert least(cut) <= least(whole), (target, whole, cut)
        assert cut.get("median", 0.0) <= whole.get("median", 0.0)


def least(of: dict[str, float]) -> float:
    return of.get("mean", of.get("at least", 0.0))


@pytest.mark.parametrize("asked", ["0.76", "1", "1e-3", 0.76, " 0.5 "])
def test_a_fraction_is_an_accuracy(asked: str | float) -> None:
    found = parse_target(asked)
    assert (found.accuracy, found.factor) == (float(asked), None)
    assert found.resolve([]) == float(asked)


@pytest.mark.parametrize("asked", ["final*1.1", "final * 1.1", " final*1.10"])
def test_a_multiple_of_the_final_error_has_one_name(asked: str) -> None:
    assert parse_target(asked) == Target("final*1.1", factor=1.1)


@pytest.mark.parametrize(
    "asked", ["0", "1.01", "98", "-0.5", "nan", "high", "", "final", "final*", "final*0", "final*-1", "final*inf", 98.0]
)
def test_anything_else_is_refused(asked: str | float) -> None:
    with pytest.raises(ValueError, match=r"must be a fraction in \(0, 1\] or final\*K, got "):
        parse_target(asked)


def test_a_multiple_is_of_the_mean_final_error() -> None:
    assert parse_target("final*1.5").resolve([0.9, 0.8]) == pytest.approx(1 - 1.5 * 0.15)


@pytest.mark.parametrize("finals", [[], [0.9, math.nan]])
def test_a_multiple_of_what_is_not_known_is_not_known(finals: list[float]) -> None:
    assert parse_target("final*1.5").resolve(finals) is None
