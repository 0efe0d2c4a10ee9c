"""All that published numbers say about an experiment: tables, findings, and the same for programs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from kbench.analysis.finding import Finding, note, warning
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.model import Table
from kbench.errors import ResultsError
from kbench.papers.findings import doubts
from kbench.papers.load import publications
from kbench.papers.log_evidence import held
from kbench.papers.published_vs_measured import beside, unpublished
from kbench.papers.tables import as_json, beside_tables, held_tables


@dataclass(frozen=True)
class Papers:
    """Published numbers beside an experiment's."""

    tables: tuple[Table, ...]
    findings: tuple[Finding, ...]
    entries: dict[str, Any]  # for JSON: published, audit and doubts

    def among(self, others: Sequence[Finding]) -> tuple[Finding, ...]:
        """All findings, the gravest first, and of these those about published numbers."""
        return tuple(sorted((*self.findings, *others), key=lambda finding: finding.severity != "warning"))


@dataclass(frozen=True, kw_only=True)
class PublishedComparison(Comparison):
    """A comparison with the published numbers beside it."""

    papers: Papers

    def as_json(self) -> dict[str, Any]:
        """The comparison as ``compare --published --format json`` prints it."""
        measured = super().as_json()
        del measured["papers"]
        return measured | self.papers.entries


def with_papers(frames: Frames, comparison: Comparison) -> PublishedComparison:
    """Hold what was published against a comparison of ``frames``."""
    measured = {field.name: getattr(comparison, field.name) for field in fields(Comparison)}
    return PublishedComparison(**measured, papers=papers(frames, comparison))


def alone(frames: Frames, baseline: str, error: ResultsError) -> Comparison:
    """The comparison of an experiment without a baseline: no row, and the reason."""
    told = (warning("unmatched", error.message),)
    return Comparison(experiment=frames.name, baseline=baseline, rows=(), warnings=(error.message,), findings=told)


def papers(frames: Frames, comparison: Comparison) -> Papers:
    """Hold what was published against the measured rows of ``comparison`` and the imported runs of ``frames``."""
    shelf = publications()
    found, judged = beside(frames, comparison, shelf), held(frames, shelf)
    said = dict.fromkeys(caveat for one in found for caveat in one.caveats)
    findings = [*doubts(frames, judged), *(note("published", text) for text in (*said, *unpublished(frames, shelf)))]
    return Papers(
        (*beside_tables(found), *held_tables(judged)),
        tuple(findings),
        as_json(found, judged) | {"doubts": [finding.text for finding in findings]},
    )
