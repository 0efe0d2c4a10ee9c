"""All that published numbers say about an experiment: tables, findings, and the same for programs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from kbench.analysis.finding import Finding, gravest_first, note, warning
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.analysis.tables import layout
from kbench.analysis.tables.model import Document, Table
from kbench.errors import ResultsError
from kbench.papers.log_evidence import JudgedCell, evidence_findings, judge_cells
from kbench.papers.mlperf import MlperfScore, mlperf_tables, scores_as_json
from kbench.papers.publications import load_publications
from kbench.papers.published_vs_measured import PublishedVsMeasured, published_vs_measured, unpublished_pairs
from kbench.papers.tables import as_json, evidence_tables, measured_tables


@dataclass(frozen=True)
class Papers:
    """Published numbers beside an experiment's."""

    published: tuple[PublishedVsMeasured, ...]
    judged: tuple[JudgedCell, ...]
    findings: tuple[Finding, ...]
    scores: tuple[MlperfScore, ...] = ()  # where they were asked for

    @property
    def tables(self) -> tuple[Table, ...]:
        """Published numbers beside measured ones, and held against imported logs."""
        return (*mlperf_tables(self.scores), *measured_tables(self.published), *evidence_tables(self.judged))

    def as_json(self) -> dict[str, object]:
        """The same for programs: ``published``, ``audit``, in sentences ``doubts``; and ``mlperf``."""
        found = as_json(self.published, self.judged) | {"doubts": [finding.text for finding in self.findings]}
        return found | {"mlperf": scores_as_json(self.scores)}

    def document(self, comparison: Comparison) -> Document:
        """The comparison with the published numbers, ready to be printed."""
        own = layout.document(comparison)
        findings = gravest_first((*self.findings, *own.findings))
        return replace(own, tables=(*own.tables, *self.tables), findings=tuple(findings), published=self.as_json())


@dataclass(frozen=True, kw_only=True)
class PublishedComparison(Comparison):
    """A comparison with the published numbers beside it."""

    papers: Papers

    def as_json(self) -> dict[str, object]:
        """The comparison as ``compare --published --format json`` prints it."""
        return self.measured.as_json() | self.papers.as_json()

    @property
    def measured(self) -> Comparison:
        """The comparison without them."""
        return Comparison(**{field.name: getattr(self, field.name) for field in fields(Comparison)})


def with_papers(frames: Frames, comparison: Comparison) -> PublishedComparison:
    """Hold what was published against a comparison of ``frames``."""
    measured = {field.name: getattr(comparison, field.name) for field in fields(Comparison)}
    return PublishedComparison(**measured, papers=papers(frames, comparison))


def with_scores(comparison: Comparison, scores: Sequence[MlperfScore], notes: Sequence[Finding]) -> PublishedComparison:
    """The comparison with MLPerf's scores, beside published numbers if there are any."""
    measured = {field.name: getattr(comparison, field.name) for field in fields(Comparison)}
    published = comparison.papers if isinstance(comparison, PublishedComparison) else Papers((), (), ())
    found = replace(published, scores=tuple(scores), findings=(*notes, *published.findings))
    return PublishedComparison(**measured, papers=found)


def papers(frames: Frames, comparison: Comparison) -> Papers:
    """Hold what was published against the measured rows of a comparison and the imported runs of its frames."""
    publications = load_publications()
    published = published_vs_measured(frames, comparison, publications)
    judged = judge_cells(frames, publications)
    notes = dict.fromkeys(caveat for one in published for caveat in one.caveats)
    findings = [
        *evidence_findings(frames, judged),
        *(note("published", text) for text in (*notes, *unpublished_pairs(frames, publications))),
    ]
    return Papers(tuple(published), tuple(judged), tuple(findings))


def without_baseline(frames: Frames, baseline: str, error: ResultsError) -> Comparison:
    """The comparison of an experiment without a baseline, as imported ones may be: no row, and the reason."""
    findings = (warning("unmatched", error.message),)
    return Comparison(experiment=frames.name, baseline=baseline, rows=(), warnings=(error.message,), findings=findings)
