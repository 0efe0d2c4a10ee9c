"""Publications: their numbers as printed, with source, unit and caveats, read from the YAML files beside this one."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kbench.config.parse import Spec, parse
from kbench.config.value_types import Count, Flag, Name, Probability
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError

FOLDER = Path(__file__).parent

Quantity = Literal[
    "best_acc",  # highest test accuracy over the epochs
    "final_acc",  # test accuracy after the last epoch
    "acc",  # test accuracy of an epoch that is not named
    "acc_change",  # of the accuracy, against training in full
    "error",  # test error after the last epoch
    "loss",  # training loss at the end
    "time",  # training time
    "time_change",  # of the training time, against training in full
    "speedup",  # training time in full over this one's
    "epochs",  # until a target was reached
    "saved",  # share of the cost of training in full that was saved
    "hidden",  # mean share of the samples left out
]
Unit = Literal["%", "points", "min", "s", "h", "x", "nat", "epoch"]
UNITS: dict[str, tuple[Unit, ...]] = {
    "best_acc": ("%",),
    "final_acc": ("%",),
    "acc": ("%",),
    "acc_change": ("points",),
    "error": ("%",),
    "loss": ("nat",),
    "time": ("min", "s", "h"),
    "time_change": ("%",),
    "speedup": ("x",),
    "epochs": ("epoch",),
    "saved": ("%",),
    "hidden": ("%",),
}
Text = Annotated[str, Field(strict=True)]
NonEmpty = Annotated[Text, Field(min_length=1)]
Printed = Annotated[str, Field(strict=True, pattern=r"^[-+]?\d+(\.\d+)?$")]  # in quotes: the digits count


def _ulp(digits: int) -> float:
    """One unit of the last digit printed."""
    return float(10.0**-digits)


class Workload(Spec):
    """What was trained, and on what.  ``models`` and ``datasets`` are kbench's names for the same."""

    model: NonEmpty
    dataset: NonEmpty
    models: tuple[NonEmpty, ...] = ()
    datasets: tuple[NonEmpty, ...] = ()
    epochs: Count | None = None
    global_batch: Count | None = None
    hardware: Text = ""
    caveats: tuple[NonEmpty, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.model} on {self.dataset}"


class Cell(Spec):
    """A number of a table.  ``diff`` is the difference that is printed beside it."""

    strategy: Name  # as the publication calls it
    method: Name | None = None  # kbench's name for it, where that is another word
    value: Printed
    diff: Printed | None = None
    at: Text = ""  # the target, the share or the system that it is for
    spread: Printed | None = None  # standard deviation over the table's runs, as it is printed, in the table's unit
    params: dict[str, float] = {}  # of the strategy, as far as they are printed, by kbench's names
    caveat: Text = ""

    @property
    def number(self) -> float:
        return float(self.value)

    @property
    def digits(self) -> int:
        """Decimals that were printed."""
        return len(self.value.partition(".")[2])

    @property
    def sd(self) -> float | None:
        """The printed standard deviation of a run."""
        return None if self.spread is None else float(self.spread)

    @property
    def last_digit(self) -> float:
        """One unit of the last digit printed."""
        return _ulp(self.digits)

    def is_printed_as(self, number: float) -> bool:
        """Whether ``number`` rounds to what was printed; a half may go either way."""
        return abs(number - self.number) <= 0.5 * _ulp(self.digits) + 1e-9


class Table(Spec):
    """Numbers of one quantity on one workload, as they stand together."""

    where: NonEmpty  # in the publication
    pair: Name  # a key of ``workloads``
    quantity: Quantity
    unit: Unit
    diff_unit: Literal["points", "%"] = "points"
    source: NonEmpty  # where the numbers were read
    log: Text = ""  # the log that the numbers were computed from, where nobody printed them
    runs: Count | None = None  # seeds behind each number; null: not printed
    smoothing: Probability | None = None  # of the labels that a loss is against; null: not known
    metric_undefined: Flag = False  # whether nothing says what was measured
    caveats: tuple[NonEmpty, ...] = ()
    cells: Annotated[tuple[Cell, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.unit not in UNITS[self.quantity]:
            raise ValueError(f"{self.quantity} is counted in {' or '.join(UNITS[self.quantity])}, got {self.unit!r}")
        if self.smoothing is not None and self.quantity != "loss":
            raise ValueError(f"smoothing belongs to a loss, not to {self.quantity}")
        named = [(cell.strategy, cell.at) for cell in self.cells]
        if len(set(named)) < len(named):
            raise ValueError(f"{self.where}: a cell is given twice")
        return self

    def baseline(self, at: str = "") -> Cell | None:
        """The cell that the differences of the cells at ``at`` are against."""
        there = [cell for cell in self.cells if cell.strategy == "baseline" and cell.at in (at, "")]
        return max(there, key=lambda cell: cell.at == at, default=None)

    def difference(self, cell: Cell) -> float | None:
        """What ``cell`` differs from the baseline by, computed from the printed values, in ``diff_unit``."""
        base = self.baseline(cell.at)
        if base is None or base is cell:
            return None
        change = float(Decimal(cell.value) - Decimal(base.value))
        return 100 * change / base.number if self.diff_unit == "%" else change

    def misprinted(self, cell: Cell) -> bool:
        """Whether the printed difference is not that of the printed values, rounding of all three allowed for."""
        change, base = self.difference(cell), self.baseline(cell.at)
        if cell.diff is None or change is None or base is None:
            return False
        slack = 0.5 * (_ulp(cell.digits) + _ulp(base.digits))
        slack = 100 * slack / base.number if self.diff_unit == "%" else slack
        decimals = len(cell.diff.partition(".")[2])
        return abs(float(cell.diff) - change) > slack + 0.5 * _ulp(decimals) + 1e-9


class KnownLog(Spec):
    """A log that the authors published, known by its run's name or its content, and what it is of."""

    run: Text = ""  # regular expression for the whole name of the run
    sha256: Annotated[str, Field(strict=True, pattern="^([0-9a-f]{64})?$")] = ""
    pair: NonEmpty  # may hold groups of ``run``, as \1
    strategy: Name
    stands_for: Name | None = None  # the strategy of the tables, where that is another word
    about: Text = ""

    @model_validator(mode="after")
    def _findable(self) -> Self:
        if not (self.run or self.sha256):
            raise ValueError("needs run or sha256 to be known by")
        return self


class Publication(Spec):
    """A paper, or results published without one."""

    id: Name
    title: NonEmpty
    cite: NonEmpty
    read: NonEmpty  # how much of it was at hand
    workloads: dict[str, Workload]
    tables: tuple[Table, ...] = ()
    logs: tuple[KnownLog, ...] = ()

    @field_validator("tables")
    @classmethod
    def _known_pairs(cls, tables: tuple[Table, ...], info: ValidationInfo) -> Any:
        known = info.data.get("workloads", {})
        missing = sorted({table.pair for table in tables} - set(known))
        if missing:
            raise ValueError(f"no workload named {', '.join(missing)}")
        return tables

    def name_in_tables(self, strategy: str) -> str:
        """The name in the tables of the strategy of a log: its own unless the log's entry has another."""
        return next((log.stands_for for log in self.logs if log.strategy == strategy and log.stands_for), strategy)


@cache
def load_publications(folder: Path = FOLDER) -> tuple[Publication, ...]:
    """Read all publications of a folder, in the order of their files' names.

    Raises:
        ConfigError: A file is no publication, with file and line, or its id is not the file's name.
    """
    publications = []
    for path in sorted(folder.glob("*.yaml")):
        source = read_source(path)
        publication = parse(Publication, source)
        if publication.id != path.stem:
            raise ConfigError(
                f"{source.place(('id',))}: id: must be the file's name {path.stem!r}, got {publication.id!r}"
            )
        publications.append(publication)
    return tuple(publications)


def table_title(publication: Publication, table: Table) -> str:
    """Publication, place in it and pair of a table."""
    return f"{publication.id}, {table.where}, {table.pair}"


def caveats(publication: Publication, table: Table) -> Iterator[str]:
    """Misprinted differences of a table, and the caveats noted beside it, its cells and its workload."""
    for cell in table.cells:
        if table.misprinted(cell):
            yield _misprint(publication, table, cell)
    for caveat in table.caveats:
        yield f"{table_title(publication, table)}: {caveat}"
    for cell in table.cells:
        if cell.caveat:
            yield f"{table_title(publication, table)}, {cell.strategy}: {cell.caveat}"
    for caveat in publication.workloads[table.pair].caveats:
        yield f"{publication.id}, {table.pair}: {caveat}"


def _misprint(publication: Publication, table: Table, cell: Cell) -> str:
    base, change = table.baseline(cell.at), table.difference(cell)
    assert base is not None and change is not None
    return (
        f"{table_title(publication, table)}: prints a difference of {cell.diff} for {cell.strategy}; "
        f"{cell.value} and {base.value} differ by {change:+.{cell.digits}f}"
    )
