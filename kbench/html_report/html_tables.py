"""HTML tables: spanned headings, keys to sort by, marks of imported rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kbench.analysis.frame import Frames
from kbench.analysis.roles import RowKey
from kbench.analysis.tables.model import Table


@dataclass(frozen=True)
class Heading:
    """The head of one column, or of several."""

    text: str
    span: int


@dataclass(frozen=True)
class Entry:
    """A cell: what it shows, and what it is sorted by (empty: last)."""

    text: str
    key: str


@dataclass(frozen=True)
class Line:
    """A line: a strategy's, or of a transposed table a number's."""

    head: str
    tag: str  # "imported", "partly imported" or nothing
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class HtmlTable:
    """A table of the page."""

    kind: str
    title: str
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    is_transposed: bool = False
    notes: tuple[str, ...] = ()  # what its words mean, where no table before it has them


def html_tables(tables: Sequence[Table], tags: Mapping[RowKey, str]) -> list[HtmlTable]:
    """The tables, in their order; each note stands below the first table that it is about."""
    found, printed = [], dict.fromkeys([""])
    for table in tables:
        notes = tuple(note for note in table.notes if note not in printed)
        printed |= dict.fromkeys(notes)
        heads, lines = tuple(_headings(table.heads)), tuple(_lines(table, tags))
        found.append(HtmlTable(table.kind, table.title, heads, lines, table.transposed, notes))
    return found


def import_tags(frames: Frames) -> dict[RowKey, str]:
    """Which strategies' runs are imported, or some of them."""
    done = frames.done
    imported: dict[RowKey, list[bool]] = {}
    for pair, strategy, source in zip(done["pair"], done["strategy"], done["imported_from"].notna(), strict=True):
        imported.setdefault((pair, strategy), []).append(bool(source))
    return {row: "imported" if all(marks) else "partly imported" for row, marks in imported.items() if any(marks)}


def all_numbers(tables: Sequence[Table]) -> list[HtmlTable]:
    """Every number behind the tables, under its name in JSON: for each pair a line per number."""
    found: dict[str, dict[str, dict[str, str]]] = {}  # pair, key, strategy
    strategies: dict[str, dict[str, None]] = {}
    for table in tables:
        for line in table.lines:
            strategies.setdefault(line.pair, {})[line.strategy] = None
            for number in (number for cell in line.cells for number in cell.numbers):
                found.setdefault(line.pair, {}).setdefault(number.key, {})[line.strategy] = number.text
    return [_numbers_table(pair, keys, list(strategies[pair])) for pair, keys in found.items()]


def _numbers_table(pair: str, keys: Mapping[str, Mapping[str, str]], strategies: Sequence[str]) -> HtmlTable:
    headings = tuple(Heading(text, 1) for text in ("number", *strategies))
    lines = [Line(key, "", tuple(Entry(texts.get(name, ""), "") for name in strategies)) for key, texts in keys.items()]
    return HtmlTable("behind", f"{pair}: every number", headings, tuple(lines))


def _headings(header: Sequence[str]) -> Iterator[Heading]:
    """An empty heading goes on from its left."""
    begins = [place for place, text in enumerate(header) if text or place == 0]
    for begin, end in zip(begins, [*begins[1:], len(header)], strict=True):
        yield Heading(header[begin], end - begin)


def _lines(table: Table, tags: Mapping[RowKey, str]) -> Iterator[Line]:
    marks = (
        [""] * len(table.rows) if table.transposed else [tags.get((one.pair, one.strategy), "") for one in table.lines]
    )
    for row, tag in zip(table.rows, marks, strict=True):
        values = [cell.numbers[0].value if cell.numbers else None for cell in row.cells]
        entries = [
            Entry(cell.text, "" if value is None else repr(float(value)))
            for cell, value in zip(row.cells, values, strict=True)
        ]
        yield Line(row.head, tag, tuple(entries))
