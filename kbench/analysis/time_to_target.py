"""How fast a target was reached, and what can be said when some runs never reached it.

A run that is done and did not reach the target never will: its schedule is over.  It counts as
a speed-up of 0.  To count it as "at least its total time" would give a bound that rises when the
run is cut shorter, so that a method could better its line by stopping early.  Where only the
baseline fell short, the speed-up is at least its total time over the method's: that bound falls
when anything is cut.  Geometric means and Student's t take complete data only.  From six seeds on
there is the median too, complete or not, with an interval from ranks, which such values leave exact.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kbench.analysis.curve import Curve, seconds_to
from kbench.analysis.interval import UNKNOWN, estimate_ratio, mean_of, median_and_interval
from kbench.analysis.rows import Reach

Pairs = Sequence[tuple[Curve, Curve]]


def reach(pairs: Pairs, asked: str, accuracy: float | None, *, is_baseline: bool) -> Reach:
    """When the runs first reached ``accuracy`` [fraction, None: not known]; each run's curve is with its baseline's."""
    if accuracy is None or not all(_told(curve) for curve, _ in pairs):
        return Reach(asked=asked, target=accuracy, reached=None, seconds=None, speedup=None, speedup_ci=None)
    own = [seconds_to(curve, accuracy) for curve, _ in pairs]
    base = [seconds_to(curve, accuracy) for _, curve in pairs]
    ours = [s for s in own if s is not None]
    theirs = [s for s in base if s is not None]
    all_ours, all_theirs = len(ours) == len(pairs), len(theirs) == len(pairs)
    seconds = mean_of(ours) if all_ours else None
    found, at_least, median, median_ci = UNKNOWN, None, None, None
    if not is_baseline and (ours or theirs) and all(_told(curve) for _, curve in pairs):
        lows = [_lowest(a, b, curve) for a, b, (_, curve) in zip(own, base, pairs, strict=True)]
        highs = [_highest(a, b) for a, b in zip(own, base, strict=True)]
        found = estimate_ratio(lows) if all_ours and all_theirs else UNKNOWN
        at_least = estimate_ratio(lows).mean if all_ours and not all_theirs else None
        median, median_ci = _median(lows, highs)
    return Reach(
        asked=asked,
        target=accuracy,
        reached=len(ours),
        seconds=seconds,
        speedup=found.mean,
        speedup_ci=found.ci,
        speedup_range=found.range,
        speedup_at_least=at_least,
        speedup_median=median,
        speedup_median_ci=median_ci,
    )


def _told(curve: Curve) -> bool:
    """Whether any accuracy of a run is on record; without, nobody knows what it reached."""
    return not all(map(math.isnan, curve.accuracy))


def _lowest(own: float | None, base: float | None, baseline: Curve) -> float:
    """The least that a seed's speed-up can be."""
    if own is None:
        return 0.0
    return (baseline.total_s if base is None else base) / own


def _highest(own: float | None, base: float | None) -> float:
    """The most that a seed's speed-up can be."""
    if base is None:
        return math.inf
    return 0.0 if own is None else base / own


def _median(lows: Sequence[float], highs: Sequence[float]) -> tuple[float | None, tuple[float, float | None] | None]:
    """The least that the median can be, and its interval; None where too few seeds or times give none."""
    if any(map(math.isnan, [*lows, *highs])):
        return None, None
    median, low = median_and_interval(lows)
    _, high = median_and_interval(highs)
    if low is None or high is None:
        return None, None
    return median, (low[0], None if math.isinf(high[1]) else high[1])


ROUNDING = 1e-12  # a run that ended at the error asked for has reached it


@dataclass(frozen=True)
class Target:
    """An accuracy [fraction], or ``factor`` times the baseline's mean final error on the same pair."""

    asked: str
    accuracy: float | None = None
    factor: float | None = None

    def on(self, finals: Sequence[float]) -> float | None:
        """The accuracy to reach [fraction], where the baseline's runs ended at ``finals``; None if not known."""
        if self.factor is None:
            return self.accuracy
        final = mean_of(finals)
        return None if final is None else 1 - self.factor * (1 - final) - ROUNDING


def target_of(asked: str | float) -> Target:
    """Read a target: ``0.76``, or ``final*1.1`` as in the Selective-Backprop paper (arXiv:1910.00762, Table 1).

    Raises ValueError for anything else.
    """
    text = f"{asked:g}" if isinstance(asked, float) else asked.strip()
    multiple = re.fullmatch(r"final\s*\*\s*(\S+)", text)
    try:
        number = float(multiple[1] if multiple else asked)
    except ValueError:
        number = math.nan
    if multiple and 0 < number < math.inf:
        return Target(f"final*{number:g}", factor=number)
    if not multiple and 0 < number <= 1:
        return Target(text, accuracy=number)
    raise ValueError(f"must be a fraction in (0, 1] or final*K, got {asked if multiple else text}")
