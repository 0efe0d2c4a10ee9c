"""Aggregates over the runs of several pairs: interquartile mean and probability of improvement, with intervals.

As rliable does (Agarwal et al. 2021, arXiv:2108.13264; google-research/rliable @3ccd9f4, rliable/metrics.py): the
interquartile mean leaves out a quarter of all runs of all pairs at each end; the probability of improvement is that of
a run of one strategy being better than a run of another on the same pair, ties a half, averaged over pairs.  The
bootstrap is stratified: it draws seeds within each pair, so that an interval is about other seeds, not other pairs.

A percentile interval of few seeds is too narrow: resampled spread is that of n values, and its tails are a normal
distribution's.  So its level is raised as if the estimate were a mean with Student's t (the expanded percentile
interval: Hesterberg 2015, The American Statistician 69, 371-386, section 5.3.2).
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from kbench.analysis.interval import MIN_VALUES, ROUNDING, Bounds

RESAMPLES = 4000
TRIMMED = 0.25  # at each end

Strata = Sequence[np.ndarray]  # of each pair (seeds,), or (seeds, ...)


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half, along the last axis; as scipy's ``trim_mean`` cuts, whole values only."""
    n = values.shape[-1]
    cut = int(TRIMMED * n)
    found: np.ndarray = np.sort(values, axis=-1)[..., cut : n - cut].mean(axis=-1)
    return found


def probability_of_improvement(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The fraction of pairs of runs in which ``own`` is higher, ties a half; (..., seeds) each."""
    a, b = own[..., :, None], other[..., None, :]
    found: np.ndarray = ((a > b) + 0.5 * (a == b)).mean(axis=(-2, -1))
    return found


def resampled_seeds(n_seeds: Sequence[int]) -> list[np.ndarray]:
    """Which seeds each resample draws of each pair: (``RESAMPLES``, seeds) for every one; always the same."""
    rng = np.random.default_rng(0)
    return [rng.integers(n, size=(RESAMPLES, n)) for n in n_seeds]


def expanded_interval(resampled: np.ndarray, n_seeds: Sequence[int]) -> Bounds:
    """The 95 % interval of an estimate from its resamples; None for fewer than three seeds, or without any spread.

    Args:
        resampled: The estimate of each resample.
        n_seeds: Of each pair.
    """
    if min(n_seeds, default=0) < MIN_VALUES or not np.isfinite(resampled).all():
        return None
    if float(np.ptp(resampled)) <= ROUNDING * float(np.abs(resampled).max()):
        return None
    df = sum(n_seeds) - len(n_seeds)
    tail = float(special.ndtr(-special.stdtrit(df, 0.975) * math.sqrt(sum(n_seeds) / df)))
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return float(low), float(high)


def interquartile_interval(strata: Strata) -> Bounds:
    """The 95 % interval of the interquartile mean of all values of all pairs."""
    drawn = zip(strata, resampled_seeds([len(own) for own in strata]), strict=True)
    return expanded_interval(
        interquartile_mean(np.concatenate([own[seeds] for own, seeds in drawn], axis=-1)), [len(own) for own in strata]
    )


def improvement_interval(own: Strata, other: Strata) -> Bounds:
    """The 95 % interval of the probability of improvement, averaged over pairs; seeds of both are drawn together."""
    n_seeds = [len(values) for values in own]
    drawn = zip(own, other, resampled_seeds(n_seeds), strict=True)
    return expanded_interval(
        np.mean([probability_of_improvement(a[seeds], b[seeds]) for a, b, seeds in drawn], axis=0), n_seeds
    )
