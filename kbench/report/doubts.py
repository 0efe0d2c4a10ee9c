"""Which warnings of the audit are about a row: better one too many than one too few."""

import re
from collections.abc import Collection, Iterator

from kbench.analysis.audit.finding import Finding
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.report.change import Who


def doubts(who: Who, comparison: Comparison, failed: Collection[Who]) -> Iterator[int]:
    """Places in the findings of the warnings about a row, but for those that its verdict says itself.

    They name it, or one of its runs; or they are about its pair, and name the baseline or nobody; or
    they are about nothing that we know.  ``failed`` are the rows of which a run failed.
    """
    pairs = {row.pair for row in comparison.rows}
    rivals = {row.strategy for row in comparison.rows if row.pair == who[0]} - {comparison.baseline}
    for place, finding in enumerate(comparison.findings):
        if finding.severity == "warning" and finding.kind != "control":
            about = {pair for pair in pairs if _is_on(finding, pair)}
            named = {name for name in rivals if _names(finding, name)}
            on_pair = who[0] in about and (who[1] in named or not named)
            if on_pair or _of_runs(finding, who, comparison.baseline, failed) or _is_strange(finding, about):
                yield place


def failed_rows(frames: Frames) -> set[Who]:
    """The pairs and strategies of which a run failed."""
    failed = frames.runs[frames.runs["state"] == "failed"]
    return set(zip(failed["pair"], failed["strategy"], strict=True))


def _is_on(finding: Finding, pair: str) -> bool:
    """Whether the text begins with the pair: alone, with a strategy, or among several pairs."""
    return finding.text.startswith(f"{pair} / ") or pair in finding.text.partition(": ")[0].split(", ")


def _names(finding: Finding, strategy: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(strategy)}(?![\w-])", finding.text) is not None


def _of_runs(finding: Finding, who: Who, baseline: str, failed: Collection[Who]) -> bool:
    """Whether it names a run of the row or of its baseline, or may mean one among "more"."""
    rows = [who, (who[0], baseline)]
    named = any(f"{pair}.{strategy}.s" in finding.text for pair, strategy in rows)
    return named or (finding.kind == "failed" and " more" in finding.text and any(row in failed for row in rows))


def _is_strange(finding: Finding, about: Collection[str]) -> bool:
    return not about and re.search(r"\S\.s\d+\.", finding.text) is None
