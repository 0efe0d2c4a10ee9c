"""Estimates over seeds: means with 95 % intervals (Student's t, bootstrap, ranks), p-values, ratios."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np
from scipy import special  # scipy.stats takes half a second to import; it is, where it is needed

Bounds = tuple[float, float] | None
MIN_VALUES = 3  # that an interval takes
MIN_RESAMPLED = 20  # values that a bootstrap takes: BCa, at 95 %, covered 90 % with ten and 93 % with twenty
ROUNDING = 1e-9  # of the values: a smaller spread is none
RESAMPLES = 1999


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The mean of paired values and how sure it is; None for what they cannot tell."""

    mean: float | None = None
    ci: Bounds = None  # 95 %, Student's t: three values or more
    range: Bounds = None  # the smallest and the largest: two values or more; no interval
    bca: Bounds = None  # 95 %, bootstrap (BCa): twenty values or more
    p: float | None = None  # of the paired t test that the mean is none, two-sided


UNKNOWN = Estimate()


def estimate(values: Sequence[float], *, resampled: bool = False) -> Estimate:
    """Estimate the mean of paired differences; one value that is not known (NaN) makes all of it unknown.

    Student's t is exact for normal differences.  Fewer than three values have no interval, nor have
    values without any spread (but for rounding): too little is known of the spread to say anything.

    Args:
        values: One per seed.
        resampled: Add a bootstrap interval where there are values enough.
    """
    if not values or any(map(math.isnan, values)):
        return UNKNOWN
    mean, error = fmean(values), _error(values)
    enough = resampled and error is not None and len(values) >= MIN_RESAMPLED
    return Estimate(
        mean=mean,
        ci=_student(mean, error, len(values)) if error is not None else None,
        range=(min(values), max(values)) if len(values) > 1 else None,
        bca=_bootstrap(values) if enough else None,
        p=None if error is None else float(2 * special.stdtr(len(values) - 1, -abs(mean) / error)),
    )


def estimate_ratio(ratios: Sequence[float], *, resampled: bool = False) -> Estimate:
    """Estimate the geometric mean of paired positive ratios, on their logarithms."""
    if not all(0 < ratio < math.inf for ratio in ratios):  # none, or not known
        return UNKNOWN
    logs = estimate([math.log(ratio) for ratio in ratios], resampled=resampled)
    return replace(
        logs,
        mean=None if logs.mean is None else math.exp(logs.mean),
        ci=_exp(logs.ci),
        range=_exp(logs.range),
        bca=_exp(logs.bca),
    )


def estimate_change(ratios: Sequence[float], *, resampled: bool = False) -> Estimate:
    """Estimate a relative change [fraction]: the geometric mean of paired ratios, less one."""
    found = estimate_ratio(ratios, resampled=resampled)
    return replace(
        found,
        mean=None if found.mean is None else found.mean - 1,
        ci=_less_one(found.ci),
        range=_less_one(found.range),
        bca=_less_one(found.bca),
    )


def mean_and_interval(values: Sequence[float]) -> tuple[float, Bounds]:
    """The mean of known values and its 95 % interval by Student's t, as ``estimate`` has them."""
    return fmean(values), estimate(values).ci


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


def _error(values: Sequence[float]) -> float | None:
    """The standard error of the mean; None where the spread says nothing."""
    if len(values) < MIN_VALUES:
        return None
    spread = stdev(values)
    return None if spread <= ROUNDING * max(map(abs, values)) else spread / math.sqrt(len(values))


def _student(mean: float, error: float, n: int) -> tuple[float, float]:
    half = float(special.stdtrit(n - 1, 0.975)) * error
    return mean - half, mean + half


def _bootstrap(values: Sequence[float]) -> Bounds:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate resamples: their bounds are not finite, and not given
        found = stats.bootstrap(
            (values,), np.mean, n_resamples=RESAMPLES, method="BCa", random_state=0
        ).confidence_interval
    return (float(found.low), float(found.high)) if math.isfinite(found.low + found.high) else None


def _exp(logs: Bounds) -> Bounds:
    return (math.exp(logs[0]), math.exp(logs[1])) if logs else None


def _less_one(ratios: Bounds) -> Bounds:
    return (ratios[0] - 1, ratios[1] - 1) if ratios else None
