"""Tables for a terminal."""

import textwrap
from collections.abc import Sequence

from kbench.analysis.finding import Finding
from kbench.analysis.tables.model import Table

WIDTH = 112


def text(tables: Sequence[Table], findings: Sequence[Finding] = ()) -> str:
    """The tables, what their words mean, and what must be said about them."""
    blocks = [f"{table.title}\n\n{aligned(_cells(table))}" for table in tables]
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    if notes:
        blocks.append("\n".join(_wrapped(note) for note in notes))
    if findings:
        blocks.append("\n".join(_wrapped(f"{found.severity}: {found.text}") for found in findings))
    return "\n\n".join(blocks)


def _cells(table: Table) -> list[Sequence[str]]:
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
