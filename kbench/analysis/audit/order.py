"""Whether the order in which runs were started may have made a difference."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from kbench.analysis.drift import Drift, mean_places
from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.rows import Row

WORTH_SAYING = 0.25  # of a difference that the drift may have made


def drift_findings(found: Mapping[str, Drift], rows: Sequence[Row], matched: pd.DataFrame) -> Iterator[Finding]:
    """Say where a machine drifted, and which differences that may have made."""
    for pair, drift in found.items():
        if not drift.is_shown:
            continue
        lower, upper = drift.ci
        moved = {}
        for row in (row for row in rows if row.pair == pair and row.time_diff is not None):
            own = matched[(matched["pair"] == pair) & (matched["strategy"] == row.strategy)]
            off = mean_places(own)
            effect = math.expm1(drift.per_place * off) if off else 0.0
            if abs(effect) > WORTH_SAYING * abs(row.time_diff or 0.0):
                moved[row.strategy] = f"{row.strategy} ({effect:+.1%} of its {row.time_diff:+.1%})"
        text = (
            f"{pair}: within blocks a run took {math.expm1(drift.per_place):+.1%} for each run before it "
            f"[{math.expm1(lower):+.1%}, {math.expm1(upper):+.1%}]: the machine drifted; "
        )
        if moved:
            text += f"that may have made a part of {', '.join(moved.values())}, and their intervals allow for it"
            yield warning("drift", text, about(pair, *moved))
        else:
            yield note("drift", text + "places were even enough that it explains no difference", about(pair))
