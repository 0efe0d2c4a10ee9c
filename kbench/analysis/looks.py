"""Looks at the seeds: what looking again after adding some does to error rates, and levels for planned looks.

Whoever adds seeds until an interval excludes zero is wrong more often than 5 %.  Planned looks share the 5 % among
them: each is made at one stricter level (Pocock 1977, Biometrika 64), which is found here for Student's t by
simulation, so that it holds for three seeds as for thirty.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pandas as pd
from scipy import special

from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.interval import MIN_VALUES, PLAIN, Confidence
from kbench.records.looks import Look

SIMULATED = 50_000  # experiments without any difference: the rate of 5 % is found to within 0.2 %


def confidence_at(looks: Sequence[int], n_seeds: int) -> Confidence:
    """The error rates of one look at ``n_seeds`` among planned ``looks`` (numbers of seeds); without a plan, 5 %."""
    planned = _usable([*looks, n_seeds]) if looks else ()
    if len(planned) < 2:
        return PLAIN
    p_two, p_one = _smallest_p(planned)
    return Confidence(float(np.quantile(p_two, PLAIN.two_sided)), float(np.quantile(p_one, PLAIN.one_sided)))


def false_difference_rate(looks: Sequence[int]) -> float:
    """How often one of several looks, each at 95 %, shows a difference where there is none."""
    planned = _usable(looks)
    return float(np.mean(_smallest_p(planned)[0] < PLAIN.two_sided)) if planned else 0.0


def look_findings(matched: pd.DataFrame, looks: Sequence[int], earlier: Sequence[Look]) -> Iterator[Finding]:
    """Say where seeds were added after a look that had not planned them, and which look this is of a plan."""
    for pair, own in matched.groupby("pair", sort=False):
        seeds = sorted({int(seed) for seed in own["seed"]})
        if looks:
            level = 100 * confidence_at(looks, len(seeds)).two_sided
            planned = ", ".join(map(str, looks))
            text = (
                f"{pair}: looks at {planned} seeds are planned; intervals of this one have {level:.1f} % of error each"
            )
            yield note("looks", f"{text}, 5 % over all looks", about(pair))
            continue
        before = [look for look in earlier if look.seeds.get(str(pair), 0) >= MIN_VALUES]
        before = [look for look in before if set(seeds) - set(look.planned)]
        added = sorted({seed for look in before for seed in set(seeds) - set(look.planned)})
        numbers = _usable([*(look.seeds[str(pair)] for look in before), len(seeds)])
        if added and len(numbers) > 1:
            rate = 100 * false_difference_rate(numbers)
            text = (
                f"{pair}: seeds {', '.join(map(str, added))} were added after a look at {numbers[0]} seeds; looking at "
                f"{', '.join(map(str, numbers))} seeds shows a difference by chance alone in {rate:.0f} %, not in 5 %: "
                f"'looks: [{', '.join(map(str, numbers))}]' in the experiment's file, written first, keeps it"
            )
            yield warning("looks", text, about(pair))


def _usable(looks: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted({n for n in looks if n >= MIN_VALUES}))


@cache
def _smallest_p(looks: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The smallest p-value over the looks of each simulated experiment, two-sided and one-sided."""
    draws = np.random.default_rng(0).standard_normal((SIMULATED, looks[-1]))
    two, one = np.ones(SIMULATED), np.ones(SIMULATED)
    for n in looks:
        seen = draws[:, :n]
        t = seen.mean(axis=1) / (seen.std(axis=1, ddof=1) / np.sqrt(n))
        two = np.minimum(two, 2 * special.stdtr(n - 1, -np.abs(t)))
        one = np.minimum(one, special.stdtr(n - 1, -t))
    return two, one
