"""All findings about a comparison, the gravest first."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import pandas as pd

from kbench.analysis.audit.controls import controls
from kbench.analysis.audit.costs import costs
from kbench.analysis.audit.finding import Finding
from kbench.analysis.audit.instruments import instruments
from kbench.analysis.audit.missing import missing
from kbench.analysis.audit.precision import precision
from kbench.analysis.audit.promises import promises
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Row


def audit(frames: Frames, baseline: str, rows: Sequence[Row], both: pd.DataFrame) -> list[Finding]:
    """Say what keeps ``rows`` from meaning what they seem to; ``both`` is what ``pairing.paired`` gave."""
    found = [
        *missing(frames, baseline),
        *instruments(frames, baseline),
        *costs(rows, both),
        *promises(frames, rows, both),
        *controls(frames, baseline, rows, both),
        *precision(baseline, rows),
    ]
    return sorted(joined(found, {row.pair for row in rows}), key=lambda finding: finding.severity != "warning")


def joined(findings: Iterable[Finding], pairs: Collection[str]) -> list[Finding]:
    """Say once what holds for several pairs in the same words."""
    places: dict[tuple[str, str], list[str]] = {}
    same: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        pair, _, rest = finding.text.partition(": ")
        key = (finding.kind, rest) if pair in pairs else (finding.kind, finding.text)
        places.setdefault(key, []).append(pair)
        same.setdefault(key, finding)
    return [
        replace(finding, text=f"{', '.join(dict.fromkeys(places[key]))}: {key[1]}") if len(places[key]) > 1 else finding
        for key, finding in same.items()
    ]
