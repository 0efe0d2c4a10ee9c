"""Estimates over seeds: means with 95 % intervals (Student's t, bootstrap, ranks), p-values, ratios."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, geometric_mean, stdev

import numpy as np
from scipy import special  # scipy.stats takes half a second to import; it is, where it is needed

Bounds = tuple[float, float] | None
MIN_VALUES = 3  # that an interval takes
MIN_RESAMPLED = 20  # values that a bootstrap takes: BCa, at 95 %, covered 90 % with ten and 93 % with twenty
ROUNDING = 1e-9  # of the values: a smaller spread is none
RESAMPLES = 1999


@dataclass(frozen=True)
class Confidence:
    """The error rates that an estimate may have at this look at the seeds; see ``looks`` for several planned looks."""

    two_sided: float = 0.05  # of an interval
    one_sided: float = 0.05  # of a bound


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The mean of paired values and how sure it is; None for what they cannot tell."""

    mean: float | None = None
    ci: Bounds = None  # 95 %, Student's t: three values or more
    range: Bounds = None  # the smallest and the largest: two values or more; no interval
    bca: Bounds = None  # 95 %, bootstrap (BCa): twenty values or more
    p: float | None = None  # of the paired t test that the mean is none, two-sided
    at_least: float | None = None  # one-sided bound, 95 %: the mean is not below
    at_most: float | None = None  # one-sided bound, 95 %: the mean is not above
    error: float | None = None  # standard error of the mean; of a ratio, of its logarithm
    n: int = 0

    def p_above(self, threshold: float) -> float | None:
        """The one-sided p-value of the t test that the mean is ``threshold`` or less; not for ratios."""
        if self.mean is None or self.error is None:
            return None
        return float(special.stdtr(self.n - 1, (threshold - self.mean) / self.error))


UNKNOWN = Estimate()
PLAIN = Confidence()


def estimate(values: Sequence[float], *, resampled: bool = False, confidence: Confidence = PLAIN) -> Estimate:
    """Estimate the mean of paired differences; one value that is not known (NaN) makes all of it unknown.

    Student's t is exact for normal differences.  Fewer than three values have no interval, nor have
    values without any spread (but for rounding): too little is known of the spread to say anything.

    Args:
        values: One per seed.
        resampled: Add a bootstrap interval where there are values enough.
        confidence: The error rates of this look.
    """
    if not values or any(map(math.isnan, values)):
        return UNKNOWN
    mean, error, n = fmean(values), _error(values), len(values)
    span = (min(values), max(values)) if n > 1 else None
    if error is None:
        return Estimate(mean=mean, range=span, n=n)
    half = float(special.stdtrit(n - 1, 1 - confidence.two_sided / 2)) * error
    slack = float(special.stdtrit(n - 1, 1 - confidence.one_sided)) * error
    p = 2 * special.stdtr(n - 1, -abs(mean) / error) * PLAIN.two_sided / confidence.two_sided
    return Estimate(
        mean=mean,
        ci=(mean - half, mean + half),
        range=span,
        bca=_bootstrap(values) if resampled and n >= MIN_RESAMPLED and confidence == PLAIN else None,
        p=min(1.0, float(p)),
        at_least=mean - slack,
        at_most=mean + slack,
        error=error,
        n=n,
    )


def estimate_ratio(ratios: Sequence[float], *, resampled: bool = False, confidence: Confidence = PLAIN) -> Estimate:
    """Estimate the geometric mean of paired positive ratios, on their logarithms."""
    if not all(0 < ratio < math.inf for ratio in ratios):  # none, or not known
        return UNKNOWN
    logs = estimate([math.log(ratio) for ratio in ratios], resampled=resampled, confidence=confidence)
    return _rescaled(logs, math.exp)


def estimate_change(ratios: Sequence[float], *, resampled: bool = False, confidence: Confidence = PLAIN) -> Estimate:
    """Estimate a relative change [fraction]: the geometric mean of paired ratios, less one."""
    return _rescaled(estimate_ratio(ratios, resampled=resampled, confidence=confidence), lambda ratio: ratio - 1)


def _rescaled(found: Estimate, increasing: Callable[[float], float]) -> Estimate:
    """An estimate on another scale."""

    def both(bounds: Bounds) -> Bounds:
        return (increasing(bounds[0]), increasing(bounds[1])) if bounds else None

    def one(bound: float | None) -> float | None:
        return None if bound is None else increasing(bound)

    return replace(
        found,
        mean=one(found.mean),
        ci=both(found.ci),
        range=both(found.range),
        bca=both(found.bca),
        at_least=one(found.at_least),
        at_most=one(found.at_most),
    )


def least_difference(sd: float, n: int, n_other: int, *, alpha: float = 0.05) -> float:
    """The least difference of two means that a one-sided t test of two samples of one standard deviation shows."""
    return float(special.stdtrit(n + n_other - 2, 1 - alpha)) * sd * math.sqrt(1 / n + 1 / n_other)


def prediction_interval(
    values: Sequence[float], *, n_new: int = 1, spread: float | None = None, rounding: float = 0.0
) -> Bounds:
    """Where the mean of ``n_new`` further runs lies with 95 %: the mean +- ``t * sqrt(sd**2/n + spread**2/n_new)``.

    Wider than the interval of the mean, as one more run is a draw of its own.

    Args:
        values: Measured, one per seed.
        n_new: Runs behind the other number.
        spread: Standard deviation of one such run; None: that of ``values``.
        rounding: What the other number may be off for its last digit.
    """
    error = _error(values)
    if error is None:
        return None
    one = stdev(values) if spread is None else spread
    half = float(special.stdtrit(len(values) - 1, 0.975)) * math.hypot(error, one / math.sqrt(n_new)) + rounding
    return fmean(values) - half, fmean(values) + half


def median_and_interval(values: Sequence[float]) -> tuple[float, Bounds]:
    """The lower median and a 95 % interval of it from order statistics, exact for any distribution.

    Values may be infinite.  None for fewer than six values, which no such interval can be had of.
    """
    ordered = sorted(values)
    n = len(ordered)
    median = ordered[(n - 1) // 2]
    rank = next(k for k in range(n + 1) if special.bdtr(k, n, 0.5) >= 0.025)  # of the binomial distribution
    return median, (ordered[rank - 1], ordered[n - rank]) if rank else None


def standard_deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None for one value, and where one is not known."""
    return stdev(values) if len(values) > 1 and not any(map(math.isnan, values)) else None


def mean_of(values: Sequence[float]) -> float | None:
    """The mean; None where a value is not known."""
    return fmean(values) if values and not any(map(math.isnan, values)) else None


def geometric_mean_of(values: Sequence[float]) -> float | None:
    """The geometric mean; None where a value is not known or not positive."""
    if not values or not all(0 < value < math.inf for value in values):
        return None
    return values[0] if min(values) == max(values) else geometric_mean(values)


def _error(values: Sequence[float]) -> float | None:
    """The standard error of the mean; None where the spread says nothing."""
    if len(values) < MIN_VALUES:
        return None
    spread = stdev(values)
    return None if spread <= ROUNDING * max(map(abs, values)) else spread / math.sqrt(len(values))


def _bootstrap(values: Sequence[float]) -> Bounds:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate resamples: their bounds are not finite, and not given
        found = stats.bootstrap(
            (values,), np.mean, n_resamples=RESAMPLES, method="BCa", random_state=0
        ).confidence_interval
    return (float(found.low), float(found.high)) if math.isfinite(found.low + found.high) else None
