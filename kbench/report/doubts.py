"""Which warnings of the audit are about a row: better one too many than one too few."""

from collections.abc import Iterator

from kbench.analysis.rows import Comparison
from kbench.report.change import Who


def doubts(who: Who, comparison: Comparison) -> Iterator[int]:
    """Places in the findings of the warnings about a row, but for those that its verdict says itself.

    They are about the row, the baseline beside it, or its whole pair; or about all that is compared.
    """
    pair, strategy = who
    for place, finding in enumerate(comparison.findings):
        if finding.severity == "warning" and finding.kind != "control":
            near = [about.strategy for about in finding.about if about.pair == pair]
            if not finding.about or {strategy, comparison.baseline, None} & set(near):
                yield place
