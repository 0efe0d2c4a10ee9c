"""All findings about a comparison, the gravest first."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import pandas as pd

from kbench.analysis.audit.chains import chains
from kbench.analysis.audit.controls import controls
from kbench.analysis.audit.costs import costs
from kbench.analysis.audit.instruments import instruments
from kbench.analysis.audit.missing import missing
from kbench.analysis.audit.precision import precision
from kbench.analysis.audit.promises import promises
from kbench.analysis.finding import Finding
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Row


def audit(frames: Frames, baseline: str, rows: Sequence[Row], both: pd.DataFrame) -> list[Finding]:
    """Say what keeps ``rows`` from meaning what they seem to; ``both`` is what ``pairing.paired`` gave.

    What began with the weights of another pair trains like the baseline, whatever its label: it makes
    no promises, has no samples to save, and needs no control.
    """
    fresh, of_fresh = [row for row in rows if row.upstream is None], both[both["upstream"].isna()]
    found = [
        *missing(frames, baseline),
        *instruments(frames, baseline),
        *chains(frames, baseline, both),
        *costs(fresh, of_fresh),
        *promises(frames, fresh, of_fresh),
        *controls(frames, baseline, fresh, of_fresh),
        *precision(baseline, rows),
    ]
    return sorted(joined(found, {row.pair for row in rows}), key=lambda finding: finding.severity != "warning")


def joined(findings: Iterable[Finding], pairs: Collection[str]) -> list[Finding]:
    """Say once what holds for several pairs in the same words."""
    same: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        pair, _, rest = finding.text.partition(": ")
        same.setdefault((finding.kind, rest if pair in pairs else finding.text), []).append(finding)
    return [_one(alike, rest) for (_, rest), alike in same.items()]


def _one(alike: Sequence[Finding], rest: str) -> Finding:
    """Findings that say ``rest`` of several pairs, as one."""
    if len(alike) == 1:
        return alike[0]
    places = dict.fromkeys(finding.text.partition(": ")[0] for finding in alike)
    about = dict.fromkeys(one for finding in alike for one in finding.about)
    return replace(alike[0], text=f"{', '.join(places)}: {rest}", about=tuple(about))
