"""How sure a mean over seeds is."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy import stats

Bounds = tuple[float, float] | None
FEWEST = 3  # values that an interval takes
ROUNDING = 1e-9  # spread that is none, relative to the values


def mean_and_interval(values: Sequence[float]) -> tuple[float, Bounds]:
    """The mean of paired values and a 95 % interval of it, by Student's t, exact for normal differences.

    None for fewer than three values, and for values without any spread (but for rounding): too
    little is known of the spread to say anything.
    """
    mean = fmean(values)
    if len(values) < FEWEST or stdev(values) <= ROUNDING * max(map(abs, values)):
        return mean, None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean, (mean - half, mean + half)


def ratio_and_interval(ratios: Sequence[float]) -> tuple[float, Bounds]:
    """The geometric mean of positive ratios and a 95 % interval of it, from their logarithms."""
    mean, bounds = mean_and_interval([math.log(r) for r in ratios])
    return math.exp(mean), (math.exp(bounds[0]), math.exp(bounds[1])) if bounds else None


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None for one value."""
    return stdev(values) if len(values) > 1 else None
