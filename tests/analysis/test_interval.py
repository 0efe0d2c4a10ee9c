"""How sure a mean over seeds is."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from kbench.analysis.interval import (
    UNKNOWN,
    estimate,
    estimate_change,
    estimate_ratio,
    mean_of,
    median_and_interval,
    standard_deviation,
)
from kbench.analysis.multiple_testing import holm

SAMPLES = [
    [0.01, 0.0, 0.02],
    [-3.5, 2.25, 8.0, 1.0],
    list(np.random.default_rng(0).normal(5.0, 2.0, 12)),
]


@pytest.mark.parametrize("values", SAMPLES, ids=["3", "4", "12"])
def test_three_and_more_values_have_the_t_interval_that_scipy_finds(values: Sequence[float]) -> None:
    found = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert estimate(values).ci == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("values", SAMPLES, ids=["3", "4", "12"])
def test_a_ratio_has_the_t_interval_of_its_logarithm(values: Sequence[float]) -> None:
    ratios = [math.exp(value) for value in values]
    found = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert estimate_ratio(ratios).ci == pytest.approx((math.exp(found.low), math.exp(found.high)))


def test_one_value_has_no_interval() -> None:
    assert (estimate([0.25]).mean, estimate([0.25]).ci) == (0.25, None)


def test_two_values_have_no_interval() -> None:
    assert (estimate([3.0, 1.0]).mean, estimate([3.0, 1.0]).ci) == (2.0, None)


def test_differences_that_differ_by_rounding_only_have_no_interval() -> None:
    same = [hits / 355 - (hits + 1) / 355 for hits in (300, 310, 301)]
    assert len(set(same)) > 1  # as floats
    assert estimate(same).ci is None


@pytest.mark.parametrize("n", [2, 3, 5])
def test_values_without_any_spread_have_no_interval(n: int) -> None:
    assert (estimate([0.5] * n).mean, estimate([0.5] * n).ci) == (0.5, None)


def test_the_mean_of_ratios_is_geometric() -> None:
    found = estimate_ratio([0.5, 2.0])
    assert found.mean == pytest.approx(1.0)
    assert found.ci is None


def test_halving_and_doubling_are_mirror_images() -> None:
    found, mirrored = estimate_ratio([0.5, 0.4, 0.8]), estimate_ratio([2.0, 2.5, 1.25])
    assert found.mean and found.ci and mirrored.ci
    assert (1 / found.mean, 1 / found.ci[1], 1 / found.ci[0]) == pytest.approx((mirrored.mean, *mirrored.ci))


def test_a_change_is_the_ratio_less_one() -> None:
    ratio, change = estimate_ratio([0.5, 0.4, 0.8]), estimate_change([0.5, 0.4, 0.8])
    assert ratio.mean and ratio.ci and ratio.range
    assert change.mean == pytest.approx(ratio.mean - 1)
    assert change.ci == pytest.approx((ratio.ci[0] - 1, ratio.ci[1] - 1))
    assert change.range == pytest.approx((-0.6, -0.2))
    assert change.p == ratio.p


class TestFewValues:
    def test_none_says_nothing(self) -> None:
        assert estimate([]) == UNKNOWN

    def test_one_has_a_mean_and_nothing_else(self) -> None:
        found = estimate([0.25])
        assert (found.mean, found.ci, found.range, found.bca, found.p) == (0.25, None, None, None, None)

    def test_two_have_a_range_that_is_no_interval(self) -> None:
        found = estimate([3.0, 1.0])
        assert (found.mean, found.ci, found.range, found.p) == (2.0, None, (1.0, 3.0), None)

    @pytest.mark.parametrize("values", [[math.nan], [1.0, math.nan, 2.0]])
    def test_one_that_is_not_known_makes_all_of_it_unknown(self, values: list[float]) -> None:
        assert (estimate(values), mean_of(values), standard_deviation(values)) == (UNKNOWN, None, None)

    @pytest.mark.parametrize("odd", [0.0, math.nan, math.inf])
    def test_a_ratio_to_nothing_is_not_known(self, odd: float) -> None:
        assert estimate_ratio([1.0, odd, 2.0]) == UNKNOWN
        assert estimate_change([1.0, odd, 2.0]) == UNKNOWN


@pytest.mark.parametrize("values", SAMPLES, ids=["3", "4", "12"])
def test_the_p_value_is_that_of_scipy_s_paired_test(values: Sequence[float]) -> None:
    assert estimate(values).p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)


@pytest.mark.parametrize("n", [19, 20])
def test_the_bootstrap_takes_twenty_values(n: int) -> None:
    found = estimate(np.random.default_rng(4).normal(size=n).tolist(), resampled=True)
    assert (found.bca is None) == (n < 20)


def test_the_bootstrap_of_values_that_are_normal_lies_near_student_s_t() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, 40).tolist()
    found = estimate(values, resampled=True)
    assert found.bca == pytest.approx(found.ci, abs=0.1)


def test_the_bootstrap_gives_the_same_bounds_again() -> None:
    assert estimate(SAMPLES[2], resampled=True) == estimate(SAMPLES[2], resampled=True)


class TestMedian:
    def test_six_values_have_their_range_as_interval(self) -> None:
        assert median_and_interval([5.0, 1.0, 3.0, 2.0, 6.0, 4.0]) == (3.0, (1.0, 6.0))

    def test_five_values_have_no_interval(self) -> None:
        assert median_and_interval([5.0, 1.0, 3.0, 2.0, 4.0]) == (3.0, None)

    @pytest.mark.parametrize("n", [6, 9, 15, 40])
    def test_the_interval_misses_with_less_than_five_percent_and_no_narrower_one_does(self, n: int) -> None:
        _, bounds = median_and_interval(list(range(n)))
        assert bounds is not None
        rank = int(bounds[0]) + 1
        assert 2 * stats.binom.cdf(rank - 1, n, 0.5) <= 0.05 < 2 * stats.binom.cdf(rank, n, 0.5)

    def test_values_without_bound_are_values(self) -> None:
        assert median_and_interval([math.inf] * 5 + [1.0, 0.0]) == (math.inf, (0.0, math.inf))


class TestHolm:
    def test_the_smallest_is_multiplied_by_all_and_the_largest_by_one(self) -> None:
        assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])

    def test_none_exceeds_one(self) -> None:
        assert holm([0.5, 0.9]) == [1.0, 1.0]

    def test_a_test_that_could_not_be_made_counts_and_stays_unknown(self) -> None:
        assert holm([None, 0.02]) == [None, 0.04]

    def test_one_test_is_not_adjusted(self) -> None:
        assert holm([0.02]) == [0.02]


def test_the_deviation_is_that_of_a_sample() -> None:
    assert standard_deviation([1.0, 2.0, 3.0]) == pytest.approx(1.0)


def test_one_value_has_no_deviation() -> None:
    assert standard_deviation([1.0]) is None


def covered(values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", truth: float) -> float:
    """The share of rows whose interval holds the truth."""
    bounds = [estimate(row).ci for row in values.tolist()]
    return float(np.mean([ci is not None and ci[0] <= truth <= ci[1] for ci in bounds]))


def test_2000_simulations_of_five_seeds_are_covered_by_95_percent_intervals() -> None:
    differences = np.random.default_rng(7).normal(-0.004, 0.003, (2000, 5))
    assert 0.93 <= covered(differences, -0.004) <= 0.97


def test_2000_simulations_of_a_ratio_are_covered_by_95_percent_intervals() -> None:
    ratios = 0.8 * np.exp(np.random.default_rng(8).normal(0.0, 0.1, (2000, 5)))
    bounds = [estimate_change(row).ci for row in ratios.tolist()]
    assert 0.93 <= np.mean([ci is not None and ci[0] <= -0.2 <= ci[1] for ci in bounds]) <= 0.97
