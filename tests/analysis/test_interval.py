"""How sure a mean over seeds is."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from kbench.analysis.interval import deviation, mean_and_interval, ratio_and_interval

SAMPLES = [
    [0.01, 0.0, 0.02],
    [-3.5, 2.25, 8.0, 1.0],
    list(np.random.default_rng(0).normal(5.0, 2.0, 12)),
]


@pytest.mark.parametrize("values", SAMPLES, ids=["3", "4", "12"])
def test_three_and_more_values_have_the_t_interval_that_scipy_finds(values: Sequence[float]) -> None:
    found = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_and_interval(values)[1] == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("values", SAMPLES, ids=["3", "4", "12"])
def test_a_ratio_has_the_t_interval_of_its_logarithm(values: Sequence[float]) -> None:
    ratios = [math.exp(value) for value in values]
    found = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert ratio_and_interval(ratios)[1] == pytest.approx((math.exp(found.low), math.exp(found.high)))


def test_one_value_has_no_interval() -> None:
    assert mean_and_interval([0.25]) == (0.25, None)


def test_two_values_have_no_interval() -> None:
    assert mean_and_interval([3.0, 1.0]) == (2.0, None)


def test_differences_that_differ_by_rounding_only_have_no_interval() -> None:
    same = [hits / 355 - (hits + 1) / 355 for hits in (300, 310, 301)]
    assert len(set(same)) > 1  # as floats
    assert mean_and_interval(same)[1] is None


@pytest.mark.parametrize("n", [2, 3, 5])
def test_values_without_any_spread_have_no_interval(n: int) -> None:
    assert mean_and_interval([0.5] * n) == (0.5, None)


def test_the_mean_of_ratios_is_geometric() -> None:
    mean, bounds = ratio_and_interval([0.5, 2.0])
    assert mean == pytest.approx(1.0)
    assert bounds is None


def test_halving_and_doubling_are_mirror_images() -> None:
    mean, bounds = ratio_and_interval([0.5, 0.4, 0.8])
    inverse, mirrored = ratio_and_interval([2.0, 2.5, 1.25])
    assert bounds is not None and mirrored is not None
    assert (1 / mean, 1 / bounds[1], 1 / bounds[0]) == pytest.approx((inverse, *mirrored))


def test_the_deviation_is_that_of_a_sample() -> None:
    assert deviation([1.0, 2.0, 3.0]) == pytest.approx(1.0)


def test_one_value_has_no_deviation() -> None:
    assert deviation([1.0]) is None
