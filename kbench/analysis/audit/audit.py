"""All findings about a comparison, warnings before notes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from kbench.analysis.audit.chains import chains
from kbench.analysis.audit.conditions import conditions
from kbench.analysis.audit.missing import missing
from kbench.analysis.audit.order import drift_findings
from kbench.analysis.audit.plausibility import plausibility
from kbench.analysis.drift import Drift
from kbench.analysis.finding import Finding, about, gravest_first, note
from kbench.analysis.frame import Frames
from kbench.analysis.interval import MIN_VALUES
from kbench.analysis.multiple_testing import ALPHA
from kbench.analysis.resolution import resolution_findings
from kbench.analysis.rows import Row
from kbench.records.schema import noun


def audit(
    frames: Frames,
    baseline: str,
    rows: Sequence[Row],
    matched: pd.DataFrame,
    drift_of_pair: Mapping[str, Drift],
    more: Iterable[Finding] = (),
) -> list[Finding]:
    """Find what keeps a comparison from meaning what it seems to.

    What began with the weights of another pair trains like the baseline, whatever its label: its times and
    shares promise nothing.

    Args:
        frames: The gathered results.
        baseline: Label of the strategy that was compared with.
        rows: The rows of the comparison.
        matched: What ``pairing.pair_runs`` gave.
        drift_of_pair: What ``drift.drifts`` gave.
        more: What else was found, about controls and looks.
    """
    fresh, of_fresh = [row for row in rows if row.upstream is None], matched[matched["upstream"].isna()]
    found = [
        *missing(frames, baseline),
        *conditions(frames, baseline),
        *chains(frames, baseline, matched),
        *plausibility(frames, fresh, of_fresh),
        *drift_findings(drift_of_pair, fresh, of_fresh),
        *resolution_findings(frames, fresh),
        *_few_seeds(rows),
        *_several_strategies(baseline, rows),
    ]
    return gravest_first(join_findings([*found, *more], {row.pair for row in rows}))


def join_findings(findings: Iterable[Finding], pairs: Collection[str]) -> list[Finding]:
    """Say once what holds for several pairs in the same words."""
    same: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        pair, _, rest = finding.text.partition(": ")
        same.setdefault((finding.kind, rest if pair in pairs else finding.text), []).append(finding)
    return [_joined(alike, rest) for (_, rest), alike in same.items()]


def _joined(alike: Sequence[Finding], rest: str) -> Finding:
    """Findings that say ``rest`` of several pairs, as one."""
    if len(alike) == 1:
        return alike[0]
    places = dict.fromkeys(finding.text.partition(": ")[0] for finding in alike)
    rows = dict.fromkeys(row for finding in alike for row in finding.about)
    return replace(alike[0], text=f"{', '.join(places)}: {rest}", about=tuple(rows))


def _few_seeds(rows: Sequence[Row]) -> Iterator[Finding]:
    """Rows of too few seeds for an interval."""
    few: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        if row.seeds < MIN_VALUES:
            few.setdefault((row.pair, row.seeds), []).append(row.strategy)
    for (pair, n), strategies in few.items():
        instead = "no interval, no range" if n == 1 else "the range of the two is given, which is no interval"
        text = (
            f"{pair}: {', '.join(strategies)}: {n} matched seed{'s' * (n > 1)}: {instead}; intervals take {MIN_VALUES}"
        )
        yield note("seeds", text, about(pair, *strategies))


def _several_strategies(baseline: str, rows: Sequence[Row]) -> Iterator[Finding]:
    """What several comparisons with one baseline do to intervals of 95 %."""
    for pair in dict.fromkeys(row.pair for row in rows):
        own = [row for row in rows if row.pair == pair and row.strategy != baseline]
        if len(own) > 1 and any(row.ci_method for row in own):
            yield note("several", f"{pair}: {_several(baseline, own)}", about(pair))


def _several(baseline: str, rows: Sequence[Row]) -> str:
    accuracy = [r.strategy for r in rows if r.acc_final_diff_p_holm is not None and r.acc_final_diff_p_holm < ALPHA]
    time = [row.strategy for row in rows if row.time_diff_p_holm is not None and row.time_diff_p_holm < ALPHA]
    name = noun(rows[0].metric)
    chance = min(100, round(100 * ALPHA * len(rows)))
    return (
        f"{len(rows)} strategies are compared with {baseline}: up to {chance} % that chance alone makes one of the "
        f"{len(rows)} intervals of time miss its truth, and as much for {name}; with all taken together (Holm, 5 %), "
        f"final {name} differs for {', '.join(accuracy) or 'none'}, time for {', '.join(time) or 'none'}"
    )
