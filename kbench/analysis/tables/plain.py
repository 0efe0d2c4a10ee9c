"""Tables as plain text: aligned for a terminal, Markdown, CSV, JSON."""

import csv
import io
import json
import re
import textwrap
from collections.abc import Mapping, Sequence

from kbench.analysis.finding import Finding
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.model import Document, Table
from kbench.analysis.tables.registry import TableFormat

WIDTH = 112  # of a line for a terminal


def text(tables: Sequence[Table], findings: Sequence[Finding] = ()) -> str:
    """The tables for a terminal, what their words mean, and the findings."""
    blocks = [f"{table.title}\n\n{aligned(_grid(table))}" for table in tables]
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    if notes:
        blocks.append("\n".join(_wrapped(note) for note in notes))
    if findings:
        blocks.append("\n".join(_wrapped(f"{found.severity}: {found.text}") for found in findings))
    return "\n\n".join(blocks)


def _grid(table: Table) -> list[Sequence[str]]:
    return [table.heads, *((row.head, *(cell.text for cell in row.cells)) for row in table.rows)]


def _wrapped(sentence: str) -> str:
    """The sentence in lines of ``WIDTH``; a number stays with its unit, and a name in one piece."""
    glued = sentence.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.fill(glued, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns under one another: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def markdown(tables: Sequence[Table], findings: Sequence[Finding] = ()) -> str:
    """The tables in GitHub's Markdown, what their words mean, and the findings."""
    blocks = []
    for table in tables:
        rows = _grid(table)
        rule = ["---", *["---:"] * (len(table.heads) - 1)]
        lines = [_row(map(_escaped, rows[0])), _row(rule), *(_row(map(_escaped, row)) for row in rows[1:])]
        blocks += [f"### {_escaped(table.title)}", "\n".join(lines)]
    blocks += [_escaped(note) for note in dict.fromkeys(note for table in tables for note in table.notes)]
    if findings:
        blocks.append("\n".join(f"- **{found.severity}**: {_escaped(found.text)}" for found in findings))
    return "\n\n".join(blocks)


def _row(cells: "Sequence[str] | map[str]") -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_<>|\[\]#~])", r"\\\1", text)


def csv_text(tables: Sequence[Table], experiment: str, metrics: Mapping[str, str | None]) -> str:
    """All numbers of all tables: a line per strategy, full precision, under their names in JSON.

    Fractions, seconds, counts; empty where not known.  A transfer's numbers stand in the line of its upstream pair.

    Args:
        tables: The tables.
        experiment: Its name, for the first column.
        metrics: What the accuracies of each pair are.
    """
    lines: dict[tuple[str, str], dict[str, float | None]] = {}
    for table in sorted(tables, key=lambda table: table.kind != "accuracy"):  # which has the baseline, first
        for line in table.lines:
            numbers = {number.key: number.value for cell in line.cells for number in cell.numbers}
            lines.setdefault((line.pair, line.strategy), {}).update(numbers)
    keys = list(dict.fromkeys(key for numbers in lines.values() for key in numbers))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["experiment", "pair", "strategy", "metric", *keys])
    for (pair, strategy), numbers in lines.items():
        writer.writerow([experiment, pair, strategy, metrics.get(pair), *(numbers.get(key) for key in keys)])
    return out.getvalue().rstrip("\n")


def json_text(document: Document) -> str:
    """The comparison as JSON, with the published numbers where they were asked for."""
    return json.dumps(document.comparison.as_json() | document.published, indent=1, default=str)


def _metrics(comparison: Comparison) -> dict[str, str | None]:
    return {row.pair: row.metric for row in comparison.rows if row.metric}


TEXT = TableFormat("aligned columns for a terminal", lambda document: text(document.tables, document.findings))
MARKDOWN = TableFormat("tables for GitHub", lambda document: markdown(document.tables, document.findings))
CSV = TableFormat(
    "all numbers, a line per strategy",
    lambda document: csv_text(document.tables, document.comparison.experiment, _metrics(document.comparison)),
    has_findings=False,
)
JSON = TableFormat("everything, for programs", json_text)
