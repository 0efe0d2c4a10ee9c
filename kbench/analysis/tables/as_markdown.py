"""Tables for Markdown (GitHub's dialect)."""

import re
from collections.abc import Sequence

from kbench.analysis.finding import Finding
from kbench.analysis.tables.model import Table


def markdown(tables: Sequence[Table], findings: Sequence[Finding] = ()) -> str:
    """The tables under headings, what their words mean, and what must be said about them."""
    blocks = []
    for table in tables:
        rows = [table.heads, *((row.head, *(cell.text for cell in row.cells)) for row in table.rows)]
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
