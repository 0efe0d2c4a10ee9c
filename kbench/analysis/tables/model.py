"""Tables as values: what every printer prints, so that no two can differ."""

from dataclasses import dataclass

NONE = "-"


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
    """A strategy's line; its cells begin in the second column, the first holds the strategy."""

    pair: str
    strategy: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Row:
    """A row as it is printed: what stands in the first column, and the others."""

    head: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table; ``header`` has one entry more than a line has cells, and an empty one goes on from its left.

    A turned one is printed with a column per strategy: then an empty entry goes on from above.
    """

    kind: str  # "accuracy", "targets", "samples", "parts" or "transfer"
    title: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]  # what its words mean; the same for all tables of a kind
    turned: bool = False

    @property
    def heads(self) -> tuple[str, ...]:
        """What is printed above the columns."""
        return (self.header[0], *(line.strategy for line in self.lines)) if self.turned else self.header

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is printed below; of a turned table no row that only goes on from above with nothing."""
        if not self.turned:
            return tuple(Row(line.strategy, line.cells) for line in self.lines)
        columns = zip(*(line.cells for line in self.lines), strict=True)
        rows = (Row(head, cells) for head, cells in zip(self.header[1:], columns, strict=True))
        return tuple(row for row in rows if row.head or any(cell.text for cell in row.cells))
