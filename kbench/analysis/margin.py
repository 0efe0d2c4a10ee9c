"""Non-inferiority: time saved, and at most a margin of accuracy lost; how many seeds would show it.

Both must hold, each shown by its own one-sided test at 5 %; a claim that needs both is then wrong in 5 % at most,
without a correction (intersection-union test, Berger 1982, Technometrics 24).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from kbench.analysis.interval import MIN_VALUES, PLAIN, Confidence, Estimate

POWER = 0.8
MOST_SEEDS = 1000  # a question that takes more has no answer
Shown = Literal["yes", "no", "open"]  # "no": the contrary is shown


@dataclass(frozen=True, kw_only=True)
class MarginTest:
    """What is shown of time saved and accuracy lost, against one margin."""

    saves_at_least: float | None  # [fraction] of the training time; one-sided bound, 95 %
    saves_at_most: float | None
    loses_at_most: float | None  # of the final accuracy [fraction]; one-sided bound, 95 %
    loses_at_least: float | None
    p: float | None = None  # that it saves no time, or loses the margin or more
    refuted: bool = False  # it is shown to take more time, or to lose more than the margin
    equivalent: bool | None = None  # the accuracy, within the margin on both sides (two one-sided tests)
    seeds_needed: int | None = None  # in all, if differences and spread are as measured; None: no number would do


def margin_test(
    accuracy: Estimate,
    time: Estimate,
    margin: float | None,
    *,
    confidence: Confidence = PLAIN,
    n_rivals: int = 1,
) -> MarginTest:
    """Test whether a strategy saves time and loses at most a margin of accuracy.

    Args:
        accuracy: Differences of the final accuracies.
        time: Changes of training time, from ratios.
        margin: What may be lost [fraction]; None: the bounds alone.
        confidence: The error rates of this look.
        n_rivals: Strategies that are tested beside each other, for the seeds that are needed.
    """
    bounds = MarginTest(
        saves_at_least=None if time.at_most is None else -time.at_most,
        saves_at_most=None if time.at_least is None else -time.at_least,
        loses_at_most=None if accuracy.at_least is None else -accuracy.at_least,
        loses_at_least=None if accuracy.at_most is None else -accuracy.at_most,
    )
    p_accuracy = accuracy.p_above(-(margin or 0))
    if margin is None or time.p is None or time.mean is None or p_accuracy is None:
        return bounds
    assert accuracy.at_least is not None and accuracy.at_most is not None and time.at_least is not None
    p_time = time.p / 2 if time.mean < 0 else 1 - time.p / 2
    gaps = [
        (-math.log1p(time.mean), _deviation(time)),  # of a change, the error is of the logarithm of the ratio
        ((accuracy.mean or 0.0) + margin, _deviation(accuracy)),
    ]
    return replace(
        bounds,
        p=max(p_time, min(1.0, p_accuracy * PLAIN.one_sided / confidence.one_sided)),
        refuted=time.at_least > 0 or accuracy.at_most < -margin,
        equivalent=accuracy.at_least > -margin and accuracy.at_most < margin,
        seeds_needed=seeds_needed(gaps, alpha=confidence.one_sided / n_rivals),
    )


def seeds_needed(gaps: Sequence[tuple[float, float]], *, power: float = POWER, alpha: float = 0.05) -> int | None:
    """The number of seeds with which all of several one-sided t tests reject together.

    Args:
        gaps: Of each, how far the truth lies beyond the null hypothesis, and the standard deviation over seeds.
        power: The probability that all of them reject, if they are independent.
        alpha: The error rate of each.

    Returns:
        At least three; None where a gap is none, or more than ``MOST_SEEDS`` would be needed.
    """
    if any(gap <= 0 for gap, _ in gaps):
        return None
    low, high = MIN_VALUES - 1, MOST_SEEDS  # the power rises with the seeds
    if joint_power(gaps, high, alpha=alpha) < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if joint_power(gaps, middle, alpha=alpha) >= power else (middle, high)
    return high


def joint_power(gaps: Sequence[tuple[float, float]], n: int, *, alpha: float = 0.05) -> float:
    """The probability that one-sided t tests of ``n`` seeds all reject, if they are independent."""
    critical = special.stdtrit(n - 1, 1 - alpha)
    powers = [1 - special.nctdtr(n - 1, min(gap / sd * math.sqrt(n), 1e3), critical) if sd else 1.0 for gap, sd in gaps]
    return math.prod(float(power) if math.isfinite(power) else 1.0 for power in powers)


def _deviation(found: Estimate) -> float:
    """The standard deviation over seeds."""
    return (found.error or 0.0) * math.sqrt(found.n)
