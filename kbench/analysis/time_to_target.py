"""Time to a target accuracy and speed-up over the baseline, and what can be said when some runs never reached it.

A run that is done and did not reach the target never will: its schedule is over.  It counts as
a speed-up of 0.  To count it as "at least its total time" would give a bound that rises when the
run is cut shorter, so that a method could better its line by stopping early.  Where only the
baseline fell short, the speed-up is at least its total time over the method's: that bound falls
when anything is cut.  Geometric means and Student's t take complete data only.  From six seeds on
there is the median too, complete or not, with an interval from ranks, which such values leave exact.

A strategy with shorter epochs is evaluated more often, and has more chances to touch a target early: at half the
length, of two that learn alike, the one is said to be faster in up to 19 %, not in 2.5 %, and in 6 % where the touch
is sustained.  So these have an interval only where epochs last about as long; ``clock`` looks at both at the
same times.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Literal, cast, get_args

from kbench.analysis.curve import Curve, at_steps, seconds_to
from kbench.analysis.interval import (
    PLAIN,
    UNKNOWN,
    Bounds,
    Confidence,
    estimate_ratio,
    geometric_mean_of,
    median_and_interval,
)

ROUNDING = 1e-12  # a run that ended at the error asked for has reached it
Rule = Literal["first", "sustained", "clock"]  # when a target counts as reached
# Epochs whose lengths differ by less leave the interval within 7 % of error; looked at by the clock all do.
SIMILAR: Mapping[Rule, float] = MappingProxyType({"first": 0.8, "sustained": 0.8**2, "clock": 0.0})
RULES: tuple[Rule, ...] = get_args(Rule)

CurvePairs = Sequence[tuple[Curve, Curve]]  # each run's curve with its baseline's


@dataclass(frozen=True)
class Target:
    """An accuracy [fraction], or ``factor`` times the baseline's mean final error on the same pair."""

    text: str
    accuracy: float | None = None
    factor: float | None = None
    rule: Rule = "first"

    def resolve(self, finals: Sequence[float]) -> float | None:
        """The accuracy to reach [fraction], where the baseline's runs ended at ``finals``; None if not known."""
        if self.factor is None:
            return self.accuracy
        final = None if not finals or any(map(math.isnan, finals)) else fmean(finals)
        return None if final is None else 1 - self.factor * (1 - final) - ROUNDING


def parse_target(target: str | float) -> Target:
    """Read a target: ``0.76``, or ``final*1.1`` as in the Selective-Backprop paper (arXiv:1910.00762, Table 1).

    ``:sustained`` or ``:clock`` behind it says when it counts as reached.

    Raises:
        ValueError: It is neither a fraction in (0, 1] nor final*K, or the rule is none.
    """
    text, _, rule = (f"{target:g}" if isinstance(target, float) else target).strip().partition(":")
    if rule not in ("", *RULES):
        raise ValueError(f"must end in {', '.join(f':{name}' for name in RULES)} or nothing, got {target}")
    ending = "" if rule in ("", "first") else f":{rule}"
    multiple = re.fullmatch(r"final\s*\*\s*(\S+)", text)
    try:
        number = float(multiple[1] if multiple else text)
    except ValueError:
        number = math.nan
    named = cast(Rule, rule or "first")
    if multiple and 0 < number < math.inf:
        return Target(f"final*{number:g}{ending}", factor=number, rule=named)
    if not multiple and 0 < number <= 1:
        return Target(f"{text}{ending}", accuracy=number, rule=named)
    raise ValueError(f"must be a fraction in (0, 1] or final*K, got {target if multiple else text}")


@dataclass(frozen=True, kw_only=True)
class TimeToTarget:
    """How fast a target was reached.  A speed-up is the baseline's time over this one's, paired by seed."""

    requested: str  # "0.76" or "final*1.1"
    target: float | None  # the accuracy that it means on this pair [fraction]
    reached: int | None  # of the seeds, disturbed or not; None where no accuracy is on record
    seconds: float | None  # [s] geometric mean over the seeds; None unless all reached it
    seconds_base: float | None = None  # [s] the baseline's, on the matched seeds: over ``seconds``, the speed-up
    speedup: float | None  # geometric mean; None unless all runs of both reached it
    speedup_ci: Bounds  # None also for a touch, first or sustained, where epochs are not about as long
    speedup_range: Bounds = None
    speedup_at_least: float | None = None  # where all runs of this one reached it, and some of the baseline's did not
    speedup_median: float | None = None  # from six seeds on; a run that did not reach it counts as 0
    speedup_median_ci: tuple[float, float | None] | None = None  # 95 %, from ranks; None: no upper bound
    rule: Rule = "first"
    withheld: bool = False  # there is no interval because of the lengths of the epochs


def time_to_target(
    pairs: CurvePairs,
    requested: str,
    accuracy: float | None,
    *,
    is_baseline: bool,
    rule: Rule = "first",
    confidence: Confidence = PLAIN,
) -> TimeToTarget:
    """When runs first reached an accuracy, beside their baseline's runs.

    Args:
        pairs: The curve of each run with that of its baseline's run.
        requested: The target in words.
        accuracy: What is to be reached [fraction]; None: not known.
        is_baseline: Whether the runs are the baseline's own; then there is no speed-up.
        rule: When it counts as reached: at the first evaluation, where it holds at the next one too, or at the first
            of evaluations at the same times, an epoch of the slower one apart.
        confidence: The error rates of this look.
    """
    if accuracy is None or not all(_has_accuracy(curve) for curve, _ in pairs):
        return TimeToTarget(
            requested=requested, target=accuracy, reached=None, seconds=None, speedup=None, speedup_ci=None, rule=rule
        )
    n_reached = sum(s is not None for s in first_times(pairs, accuracy, rule)[0])
    pairs = [pair for pair in pairs if all(curve.is_timed for curve in pair)]  # whose times count
    times, base_times = first_times(pairs, accuracy, rule)
    reached, base_reached = ([s for s in found if s is not None] for found in (times, base_times))
    all_reached, all_base_reached = len(reached) == len(pairs), len(base_reached) == len(pairs)
    speedup, at_least, median, median_ci = UNKNOWN, None, None, None
    if not is_baseline and (reached or base_reached) and all(_has_accuracy(curve) for _, curve in pairs):
        lows = [_lowest(a, b, curve) for a, b, (_, curve) in zip(times, base_times, pairs, strict=True)]
        highs = [_highest(a, b) for a, b in zip(times, base_times, strict=True)]
        speedup = estimate_ratio(lows, confidence=confidence) if all_reached and all_base_reached else UNKNOWN
        at_least = estimate_ratio(lows).mean if all_reached and not all_base_reached else None
        median, median_ci = _median(lows, highs)
    withheld = not is_baseline and not _similar_epochs(pairs, SIMILAR[rule])
    return TimeToTarget(
        requested=requested,
        target=accuracy,
        reached=n_reached,
        seconds=geometric_mean_of(reached) if all_reached else None,
        seconds_base=geometric_mean_of(base_reached) if all_base_reached and not is_baseline else None,
        speedup=speedup.mean,
        speedup_ci=None if withheld else speedup.ci,
        speedup_range=speedup.range,
        speedup_at_least=at_least,
        speedup_median=median,
        speedup_median_ci=None if withheld else median_ci,
        rule=rule,
        withheld=withheld and (speedup.ci is not None or median_ci is not None),
    )


def first_times(pairs: CurvePairs, accuracy: float, rule: Rule) -> tuple[list[float | None], list[float | None]]:
    """When each run, and its baseline's, reached an accuracy by a rule [s]; NaN at a time that is not known."""
    seen = [_at_same_times(*pair) for pair in pairs] if rule == "clock" else pairs
    times = [[seconds_to(curve, accuracy, sustained=rule == "sustained") for curve in pair] for pair in seen]
    return [own for own, _ in times], [base for _, base in times]


def _at_same_times(curve: Curve, baseline: Curve) -> tuple[Curve, Curve]:
    """Both as they are seen at the end of each epoch of the one whose epochs are longer."""
    step_s = max(curve.epoch_s, baseline.epoch_s)
    return (at_steps(curve, step_s), at_steps(baseline, step_s)) if 0 < step_s < math.inf else (curve, baseline)


def _similar_epochs(pairs: CurvePairs, least: float) -> bool:
    """Whether epochs last at least ``least`` of the baseline's and vice versa, over all seeds; the unknown does."""
    ratios = [curve.epoch_s / baseline.epoch_s for curve, baseline in pairs if baseline.epoch_s > 0]
    mean = geometric_mean_of(ratios)
    return mean is None or least <= mean and least <= 1 / mean


def _has_accuracy(curve: Curve) -> bool:
    """Whether any accuracy of a run is on record; without, nothing is known of what it reached."""
    return not all(map(math.isnan, curve.accuracy))


def _lowest(time: float | None, base_time: float | None, baseline: Curve) -> float:
    """The least that a seed's speed-up can be."""
    if time is None:
        return 0.0
    return (baseline.total_s if base_time is None else base_time) / time


def _highest(time: float | None, base_time: float | None) -> float:
    """The most that a seed's speed-up can be."""
    if base_time is None:
        return math.inf
    return 0.0 if time is None else base_time / time


def _median(lows: Sequence[float], highs: Sequence[float]) -> tuple[float | None, tuple[float, float | None] | None]:
    """The least that the median can be, and its interval; None where too few seeds or times give none."""
    if any(map(math.isnan, [*lows, *highs])):
        return None, None
    median, low = median_and_interval(lows)
    _, high = median_and_interval(highs)
    if low is None or high is None:
        return None, None
    return median, (low[0], None if math.isinf(high[1]) else high[1])
