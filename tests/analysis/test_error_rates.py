"""How often verdicts are wrong, by simulation: never more often than they say."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from simulated import Truth, ceiling_alarm, curve, experiments, row_of, speedups

from kbench.analysis.controls import judge
from kbench.analysis.interval import PLAIN, estimate, prediction_interval
from kbench.analysis.looks import confidence_at, false_difference_rate
from kbench.analysis.margin import joint_power, seeds_needed
from kbench.analysis.multiple_testing import adjust_p_values
from kbench.analysis.rows import ControlVerdict
from kbench.analysis.time_to_target import time_to_target

N = 1000
ALLOWED = 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / N)  # 5 %, and what chance makes of it in N simulations


def rate(found: Iterable[bool]) -> float:
    values = list(found)
    return sum(values) / len(values)


@pytest.mark.parametrize("n_seeds", [3, 5, 10, 20, 50])
def test_a_printed_run_of_the_same_distribution_is_called_outside_in_five_percent(n_seeds: int) -> None:
    draws = np.random.default_rng(1).normal(77, 0.25, (N, n_seeds + 1))
    printed = draws[:, -1].round(2).tolist()
    found = [prediction_interval(own, rounding=0.005) for own in draws[:, :-1].tolist()]
    outside = rate(not i[0] <= value <= i[1] for i, value in zip(found, printed, strict=True) if i)
    assert 0.5 * 0.05 < outside < ALLOWED
    means = [estimate(own).ci for own in draws[:, :-1].tolist()]
    of_mean = rate(not i[0] <= value <= i[1] for i, value in zip(means, printed, strict=True) if i)
    assert of_mean > 2 * outside  # what the interval of the mean would say: 16 % at three seeds, 78 % at fifty


def test_a_printed_mean_of_several_runs_is_held_against_a_narrower_interval() -> None:
    draws = np.random.default_rng(2).normal(77, 0.25, (N, 10))
    printed = draws[:, 5:].mean(axis=1).tolist()
    found = [prediction_interval(own, n_new=5) for own in draws[:, :5].tolist()]
    assert 0.025 < rate(not i[0] <= value <= i[1] for i, value in zip(found, printed, strict=True) if i) < ALLOWED


LOSES = Truth(gain=-0.5, saving=0.2)


@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize("margin", [None, 0.005])
def test_what_loses_the_margin_is_not_said_to_beat_random(n_seeds: int, margin: float | None) -> None:
    found = experiments(LOSES, n_seeds, n=N, margin=margin)
    assert rate(judge(row) is ControlVerdict.BEATS for row in found) < ALLOWED


def test_what_saves_time_and_loses_nothing_is_said_to_beat_random_by_ten_seeds() -> None:
    found = experiments(Truth(saving=0.2), 10, n=200, margin=0.005)
    assert rate(judge(row) is ControlVerdict.BEATS for row in found) > 0.95


@pytest.mark.parametrize("n_seeds", [3, 10])
@pytest.mark.parametrize("equal_time", [True, False])
def test_what_equals_its_control_is_not_said_to_beat_it(n_seeds: int, equal_time: bool) -> None:
    found = [judge(row, equal_time=equal_time) for row in experiments(Truth(), n_seeds, n=N, margin=0.005)]
    assert rate(verdict is ControlVerdict.BEATS for verdict in found) < ALLOWED
    assert rate(verdict is ControlVerdict.WORSE for verdict in found) < ALLOWED


@pytest.mark.parametrize(("gain", "saving"), [(-0.5, 0.2), (0.0, 0.0), (-0.5, 0.0)])
@pytest.mark.parametrize("n_seeds", [3, 10])
def test_what_is_at_the_edge_of_the_margin_is_shown_within_it_in_five_percent(
    gain: float, saving: float, n_seeds: int
) -> None:
    rows = list(experiments(Truth(gain=gain, saving=saving), n_seeds, n=N, margin=0.005))
    assert rate(row.shown == "yes" for row in rows) < ALLOWED
    assert rate(row.saves_at_least is not None and row.saves_at_least > saving for row in rows) < ALLOWED
    assert rate(row.loses_at_most is not None and row.loses_at_most < -gain / 100 for row in rows) < ALLOWED


def test_among_fifteen_strategies_at_the_edge_none_is_shown_within_it_in_ninety_five_percent() -> None:
    rng, wrong = np.random.default_rng(3), []
    for _ in range(100):
        gains, ratios = LOSES.draw(rng, 15, 5)
        rows = [row_of(g, r, margin=0.005) for g, r in zip(gains.tolist(), ratios.tolist(), strict=True)]
        wrong.append(any(row.shown == "yes" for row in adjust_p_values(rows)))
    assert rate(wrong) < 0.12


def test_the_seeds_that_are_needed_give_the_power_that_they_promise() -> None:
    n = seeds_needed([(math.log(1 / 0.95), 0.06), (0.003, 0.004)])
    assert n is not None
    truth = Truth(gain=-0.2, gain_sd=0.4, saving=0.05, time_sd=0.06)
    assert rate(row.shown == "yes" for row in experiments(truth, n, n=N, margin=0.005)) == pytest.approx(0.8, abs=0.05)


def test_no_number_of_seeds_shows_what_lies_beyond_the_margin() -> None:
    assert seeds_needed([(0.2, 0.01), (-0.001, 0.002)]) is None
    assert seeds_needed([(0.2, 0.01), (1e-6, 0.002)]) is None
    assert seeds_needed([(0.2, 0.01), (0.1, 0.01)]) == 3
    assert joint_power([(0.2, 0.0)], 3) == 1.0


def test_adding_seeds_until_a_difference_shows_is_wrong_in_seventeen_percent() -> None:
    assert false_difference_rate(range(3, 11)) == pytest.approx(0.17, abs=0.01)
    assert false_difference_rate([5]) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("looks", [(3, 6, 10), (3, 4, 5, 6)])
def test_planned_looks_together_are_wrong_in_five_percent(looks: tuple[int, ...]) -> None:
    levels = {n: confidence_at(looks, n) for n in looks}
    wrong_two, wrong_one = [], []
    for values in np.random.default_rng(4).normal(0, 1, (N, looks[-1])).tolist():
        found = [estimate(values[:n], confidence=levels[n]) for n in looks]
        wrong_two.append(any(one.ci is not None and not one.ci[0] <= 0 <= one.ci[1] for one in found))
        wrong_one.append(any(one.at_least is not None and one.at_least > 0 for one in found))
        assert [one.p is not None and one.p < 0.05 for one in found] == [
            one.ci is not None and not one.ci[0] <= 0 <= one.ci[1] for one in found
        ]
    assert rate(wrong_two) < ALLOWED
    assert rate(wrong_one) < ALLOWED


def test_without_a_plan_and_at_its_only_look_an_interval_is_one_of_95_percent() -> None:
    assert confidence_at((), 5) == confidence_at((5,), 5) == PLAIN


def test_the_ceiling_gives_a_false_alarm_for_any_of_fifteen_strategies_in_five_percent() -> None:
    rng = np.random.default_rng(5)
    alarms = [ceiling_alarm(15, 3, rng=rng) for _ in range(100)]
    assert rate(alarms) < 0.12  # Holm: 5 %, in 100 simulations; unadjusted it would be 32 %


def test_by_the_clock_half_as_long_epochs_reach_no_target_sooner() -> None:
    faster, slower = speedups(1.0, "clock", n=300)
    assert faster < 0.05 and slower < 0.05  # 2.5 % each; by the first touch 18 % would be faster


def test_the_first_touch_of_half_as_long_epochs_has_no_interval_and_of_alike_ones_has() -> None:
    assert speedups(1.0, "first", n=20) == (0, 0)
    pairs = [(curve(2.0, tau, np.zeros(60)), curve(2.0, 12.0, np.zeros(60))) for tau in (9.0, 10.0, 11.0)]
    found = time_to_target(pairs, "0.9", 0.9, is_baseline=False)
    assert found.speedup_ci is not None and not found.withheld
