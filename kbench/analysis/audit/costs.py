"""Times that the samples do not explain, and times that the table does not show."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from kbench.analysis.finding import Finding, note, on, warning
from kbench.analysis.interval import estimate_change
from kbench.analysis.rows import Row

MATERIAL = 0.05  # a step of the baseline that is longer by less is not remarked on


def costs(rows: Sequence[Row], both: pd.DataFrame) -> Iterator[Finding]:
    """Hold the times of ``rows`` against their samples."""
    yield from _too_good(rows)
    yield from _slow_baseline(both)
    for row in rows:
        beside = row.time_parts["background"].seconds
        if beside:
            yield warning(
                "background",
                f"{row.pair} / {row.strategy} worked {beside:.3g} s a run beside training, on another thread or "
                "stream; that is not in its training time",
                on(row.pair, row.strategy),
            )


def _too_good(rows: Sequence[Row]) -> Iterator[Finding]:
    """Savings that the samples cannot explain: beyond chance, or perhaps by chance."""
    lucky: dict[str, list[str]] = {}
    for row in rows:
        if row.time_diff is None or row.time_ceiling is None or row.time_diff >= row.time_ceiling:
            continue
        if row.time_diff_ci and row.time_diff_ci[1] < row.time_ceiling:
            yield warning(
                "ceiling",
                f"{row.pair} / {row.strategy}: its time changed by {100 * row.time_diff_ci[1]:+.1f} % or less, "
                f"its samples explain {100 * row.time_ceiling:+.1f} %; its steps were cheaper than the "
                "baseline's: do not believe it",
                on(row.pair, row.strategy),
            )
        else:
            lucky.setdefault(row.pair, []).append(row.strategy)
    for pair, strategies in lucky.items():
        yield note(
            "ceiling",
            f"{pair}: {', '.join(strategies)} took less time than the samples explain (at best), within chance; "
            "the baseline's runs may have been slow: more seeds or a quieter machine would tell",
            on(pair, *strategies),
        )


def _slow_baseline(both: pd.DataFrame) -> Iterator[Finding]:
    """A baseline whose steps took longer than everybody else's: one number per seed, so one test per pair."""
    step = sum(both[f"{part}_s"] for part in ("forward", "backward", "update")) / both["n_trained"]
    base = sum(both[f"{part}_s_base"] for part in ("forward", "backward", "update")) / both["n_trained_base"]
    ratio = pd.Series(base / step).where(lambda r: (r > 0) & np.isfinite(r))
    others = both.assign(ratio=np.log(ratio))[both["run_id"] != both["run_id_base"]]
    for pair, own in others.groupby("pair", sort=False):
        per_seed = own.groupby("match_key")["ratio"].mean()
        found = estimate_change(np.exp(per_seed).tolist())
        if found.mean is not None and found.ci and found.ci[0] > 0 and found.mean > MATERIAL:
            low, high = (100 * bound for bound in found.ci)
            yield warning(
                "slow-baseline",
                f"{pair}: the baseline took {100 * found.mean:.1f} % longer per trained sample (forward, backward, "
                f"update) than the others, 95 % interval {low:.1f} to {high:.1f}; savings may come from there",
                on(pair),
            )
