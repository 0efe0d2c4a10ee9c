"""Tables as values: what every format prints, rounded in one place, so that no two formats can differ."""

from dataclasses import dataclass

from kbench.analysis.finding import Finding
from kbench.analysis.interval import Bounds
from kbench.analysis.rows import Comparison

NONE = "-"
PERCENT = 100


@dataclass(frozen=True)
class Number:
    """A number as it is (``value``: fractions, seconds, counts; None: not known) and as it is printed.

    ``key`` is its name in JSON; of a pair of bounds ``..._low`` and ``..._high``, in a target
    ``target_0.98_seconds``, of a part ``data_s`` and ``data_share``, downstream ``PAIR_acc_final``.
    """

    key: str
    value: float | None
    text: str


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and the numbers behind it; not all of them need be printed there."""

    text: str
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True)
class Line:
    """The line of a strategy; its cells begin in the second column, the first holds the strategy."""

    pair: str
    strategy: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PrintedRow:
    """A row as it is printed: what stands in the first column, and the others."""

    head: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table; ``header`` has one entry more than a line has cells, and an empty one goes on from its left.

    A transposed one is printed with a column per strategy: then an empty entry goes on from above.
    """

    kind: str  # "claims", "accuracy", "targets", "samples", "parts", "across" or "transfer"
    title: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]  # what its words mean; the same for all tables of a kind
    transposed: bool = False

    @property
    def heads(self) -> tuple[str, ...]:
        """What is printed above the columns."""
        return (self.header[0], *(line.strategy for line in self.lines)) if self.transposed else self.header

    @property
    def rows(self) -> tuple[PrintedRow, ...]:
        """What is printed below; of a transposed table no row that only goes on from above with nothing."""
        if not self.transposed:
            return tuple(PrintedRow(line.strategy, line.cells) for line in self.lines)
        columns = zip(*(line.cells for line in self.lines), strict=True)
        rows = (PrintedRow(head, cells) for head, cells in zip(self.header[1:], columns, strict=True))
        return tuple(row for row in rows if row.head or any(cell.text for cell in row.cells))


@dataclass(frozen=True, kw_only=True)
class Document:
    """What is printed: a comparison with its tables and findings, and published numbers where they were asked for."""

    comparison: Comparison
    tables: tuple[Table, ...]
    findings: tuple[Finding, ...]
    published: dict[str, object]  # more entries for JSON


def number(key: str, value: float | None, form: str, *, scale: float = 1) -> Number:
    """A number, printed in the format ``form`` after it was multiplied with ``scale``."""
    return Number(key, value, NONE if value is None else format(scale * value, form))


def seconds(key: str, value: float | None) -> Number:
    """Seconds, to four digits or the hundredth."""
    form = ".2f" if value is None or value < 100 else ".1f" if value < 1000 else ",.0f"
    return number(key, value, form)


def cell(shown: Number, unit: str = "", *more: Number) -> Cell:
    """A cell that shows a number; ``more`` are behind it."""
    return Cell(shown.text if shown.value is None else f"{shown.text}{unit}", (shown, *more))


def mean_and_sd(mean: Number, sd: Number) -> Cell:
    """A mean and its standard deviation over seeds."""
    text = mean.text if sd.value is None else f"{mean.text} ±{sd.text}"
    return Cell(text, (mean, sd))


def interval(key: str, ci: Bounds, spans: Bounds, form: str, *, scale: float = PERCENT, bca: Bounds = None) -> Cell:
    """The interval in brackets; the range, named as one, where there is no interval; the bootstrap behind it."""
    inner, outer = bounds(f"{key}_ci", ci, form, scale=scale), bounds(f"{key}_range", spans, form, scale=scale)
    text = ""
    if ci:
        text = f"[{inner[0].text}, {inner[1].text}]"
    elif spans and spans[0] != spans[1]:
        text = f"range {outer[0].text}, {outer[1].text}"
    return Cell(text, (*inner, *outer, *bounds(f"{key}_bca", bca, form, scale=scale)))


def bounds(key: str, found: Bounds, form: str, *, scale: float = PERCENT) -> tuple[Number, Number]:
    """The two ends of an interval."""
    low, high = found or (None, None)
    return number(f"{key}_low", low, form, scale=scale), number(f"{key}_high", high, form, scale=scale)


def percent(key: str, value: float | None, form: str = ".2f") -> Number:
    """A fraction, printed as percent without the sign."""
    return number(key, value, form, scale=PERCENT)


def points(margin: float | None) -> str:
    """A margin in words: ``0.5 points``, ``1 point``."""
    text = percent("margin", margin, "g").text
    return f"{text} point{'' if text == '1' else 's'}"
