"""Performance profiles: on what fraction of the pairs a strategy is within a factor of the fastest, and their area.

As AlgoPerf scores training algorithms (Dahl et al. 2023, arXiv:2306.07179, and docs/DOCUMENTATION.md of
mlcommons/algorithmic-efficiency @2c90454, "Scoring"; profiles are Dolan and More's, 2002): a strategy's time on a pair
is the median over its runs of the time to the target, infinite for a run that never reached it; its ratio is that time
over the fastest strategy's; the profile at tau is the fraction of pairs with a ratio of tau or less; the score is the
area below it from 1 to 4, over 3.

The score has no interval.  The fastest of several medians is fast by luck too, and a bootstrap of few seeds does not
undo that: expanded as in ``aggregates``, its 95 % covered 76 to 99 % in simulations of three to six pairs.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

MOST = 4.0  # a ratio beyond it counts as not reached (AlgoPerf's r_max)


def performance_ratios(times: np.ndarray) -> np.ndarray:
    """The ratios of times to the fastest strategy's.

    Args:
        times: [s] (strategies, ..., runs); infinite where the target was not reached.

    Returns:
        (strategies, ...): infinite where more than half of the runs did not reach it, or no strategy did.
    """
    medians = np.median(times, axis=-1)
    fastest = medians.min(axis=0)
    reached = np.isfinite(medians)
    return np.where(reached, medians / np.where(np.isfinite(fastest), fastest, 1.0), math.inf)


def profile_score(ratios: np.ndarray) -> np.ndarray:
    """The area below the profile from 1 to ``MOST``, as a fraction: 1 is the fastest on all pairs.

    Args:
        ratios: (..., pairs).
    """
    found: np.ndarray = ((MOST - np.minimum(ratios, MOST)) / (MOST - 1)).mean(axis=-1)
    return found


def steps(ratios: Mapping[str, float | None]) -> list[tuple[float, float]]:
    """The corners of a profile: each tau where it rises, and the fraction of pairs within it; then its end."""
    known: Sequence[float] = sorted(ratio for ratio in ratios.values() if ratio is not None and ratio <= MOST)
    corners = [(1.0, 0.0), *((tau, (place + 1) / len(ratios)) for place, tau in enumerate(known))]
    last = {tau: fraction for tau, fraction in corners}  # of several at one tau the highest
    return [*last.items(), (MOST, len(known) / len(ratios))]
