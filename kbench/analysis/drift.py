"""Drift: how much longer a run takes for each run that its machine did before it in the same block."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np
import pandas as pd
from scipy import special

from kbench.analysis.interval import PLAIN, Confidence, Estimate

LEVEL = 0.05  # of the test that there is a drift


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The slope of the logarithm of training time over places in a block, between strategies and blocks held apart."""

    per_place: float  # 0.01: each place makes a run 1 % longer
    error: float  # its standard error
    df: int  # degrees of freedom of that

    @property
    def ci(self) -> tuple[float, float]:
        """The 95 % interval of the slope."""
        half = float(special.stdtrit(self.df, 1 - LEVEL / 2)) * self.error
        return self.per_place - half, self.per_place + half

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out none at all."""
        return not self.ci[0] <= 0 <= self.ci[1]


def drifts(runs: pd.DataFrame) -> Mapping[str, Drift]:
    """Estimate the drift of each pair from ``comparable_runs``; pairs whose places are not on record have none."""
    found = {}
    for pair, own in runs.dropna(subset=["block", "place", "total_train_s"]).groupby("pair", sort=False):
        logs = np.log(own["total_train_s"].to_numpy(dtype=float))
        if drift := drift_of(own["strategy"].tolist(), own["block"].tolist(), own["place"].tolist(), logs):
            found[str(pair)] = drift
    return found


def drift_of(
    strategies: Sequence[str], blocks: Sequence[str], places: Sequence[float], logs: "np.typing.NDArray[np.float64]"
) -> Drift | None:
    """Regress ``logs`` of times on places, with an effect of every strategy and of every block.

    Returns:
        None where the places of a strategy never vary apart from its blocks, or too few runs are there.
    """
    effects = [np.unique(names, return_inverse=True)[1] for names in (strategies, blocks)]
    dummies = [np.eye(1 + max(codes, default=0))[codes] for codes in effects]
    design = np.hstack(dummies)
    residuals = []
    for values in (np.asarray(places, dtype=float), logs):
        residuals.append(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])
    place, log = residuals
    spread, df = float(place @ place), len(logs) - int(np.linalg.matrix_rank(design)) - 1
    if df < 1 or spread < 1e-9:
        return None
    slope = float(place @ log) / spread
    rest = log - slope * place
    return Drift(per_place=slope, error=math.sqrt(float(rest @ rest) / df / spread), df=df)


def allow_for_drift(
    found: Estimate,
    ratios: Sequence[float],
    places: float | None,
    drift: Drift | None,
    confidence: Confidence = PLAIN,
) -> Estimate:
    """Widen the interval of a change of time so that it holds the change without the drift, too.

    The mean stays what two columns of the table give.  Where the places are even over the seeds nothing changes.

    Args:
        found: What ``estimate_change`` gave.
        ratios: Of the times, one per seed.
        places: Mean place of the runs less that of those that they are compared with; None: not known.
        drift: Of the pair.
        confidence: The error rates of this look.
    """
    if drift is None or not places or found.mean is None or found.ci is None or found.p is None:
        return found
    logs = [math.log(ratio) for ratio in ratios]
    variance, of_drift = stdev(logs) ** 2 / len(logs), (places * drift.error) ** 2
    df = (variance + of_drift) ** 2 / (variance**2 / (len(logs) - 1) + of_drift**2 / drift.df)  # Satterthwaite's
    mean, error = fmean(logs) - places * drift.per_place, math.sqrt(variance + of_drift)
    half = float(special.stdtrit(df, 1 - confidence.two_sided / 2)) * error
    slack = float(special.stdtrit(df, 1 - confidence.one_sided)) * error
    p = float(2 * special.stdtr(df, -abs(mean) / error)) * PLAIN.two_sided / confidence.two_sided
    one_sided = (
        found.mean if found.at_least is None else found.at_least,
        found.mean if found.at_most is None else found.at_most,
    )
    lowest, highest = _hull(one_sided, (math.expm1(mean - slack), math.expm1(mean + slack)))
    ci = _hull(found.ci, (math.expm1(mean - half), math.expm1(mean + half)))
    return replace(found, ci=ci, p=max(found.p, min(1.0, p)), at_least=lowest, at_most=highest)


def _hull(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return min(first[0], second[0]), max(first[1], second[1])


def mean_places(matched: pd.DataFrame) -> float | None:
    """The mean place of runs less that of the runs beside them; None unless all shared their blocks."""
    if matched["place"].isna().any() or not (matched["block"] == matched["block_base"]).all():
        return None
    return float((matched["place"] - matched["place_base"]).mean())
