"""The tables as the page shows them: spanned headings, keys to sort by, marks of imported rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kbench.analysis.frame import Frames
from kbench.analysis.tables.model import Table
from kbench.html_report.effects import Who


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
    """A line: a strategy's, or of a turned table a number's."""

    head: str
    tag: str  # "imported", "partly imported" or nothing
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Sheet:
    """A table of the page."""

    kind: str
    title: str
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    is_turned: bool = False
    notes: tuple[str, ...] = ()  # what its words mean, where no table before it said so


def sheets(tables: Sequence[Table], tags: Mapping[Who, str]) -> list[Sheet]:
    """The tables, in their order; each note stands below the first table that it is about."""
    found, said = [], dict.fromkeys([""])
    for table in tables:
        notes = tuple(note for note in table.notes if note not in said)
        said |= dict.fromkeys(notes)
        heads, lines = tuple(_headings(table.heads)), tuple(_lines(table, tags))
        found.append(Sheet(table.kind, table.title, heads, lines, table.transposed, notes))
    return found


def tags_of(frames: Frames) -> dict[Who, str]:
    """Which strategies' runs were read from the logs of others, or some of them."""
    done = frames.done
    theirs: dict[Who, list[bool]] = {}
    for pair, strategy, source in zip(done["pair"], done["strategy"], done["imported_from"].notna(), strict=True):
        theirs.setdefault((pair, strategy), []).append(bool(source))
    return {who: "imported" if all(marks) else "partly imported" for who, marks in theirs.items() if any(marks)}


def behind(tables: Sequence[Table]) -> list[Sheet]:
    """Every number behind the tables, under its name in JSON: for each pair a line per number."""
    found: dict[str, dict[str, dict[str, str]]] = {}  # pair, key, strategy
    strategies: dict[str, dict[str, None]] = {}
    for table in tables:
        for line in table.lines:
            strategies.setdefault(line.pair, {})[line.strategy] = None
            for number in (number for cell in line.cells for number in cell.numbers):
                found.setdefault(line.pair, {}).setdefault(number.key, {})[line.strategy] = number.text
    return [_behind(pair, keys, list(strategies[pair])) for pair, keys in found.items()]


def _behind(pair: str, keys: Mapping[str, Mapping[str, str]], strategies: Sequence[str]) -> Sheet:
    headings = tuple(Heading(text, 1) for text in ("number", *strategies))
    lines = [Line(key, "", tuple(Entry(texts.get(name, ""), "") for name in strategies)) for key, texts in keys.items()]
    return Sheet("behind", f"{pair}: every number", headings, tuple(lines))


def _headings(header: Sequence[str]) -> Iterator[Heading]:
    """An empty heading goes on from its left."""
    begins = [place for place, text in enumerate(header) if text or place == 0]
    for begin, end in zip(begins, [*begins[1:], len(header)], strict=True):
        yield Heading(header[begin], end - begin)


def _lines(table: Table, tags: Mapping[Who, str]) -> Iterator[Line]:
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
