"""All numbers of all tables as one sheet: a line per strategy, full precision, empty where not known."""

import csv
import io
from collections.abc import Mapping, Sequence

from kbench.analysis.tables.model import Table


def sheet(tables: Sequence[Table], experiment: str, metrics: Mapping[str, str | None]) -> str:
    """The numbers behind the cells under their names in JSON; fractions, seconds, counts.

    A transfer's numbers stand in the line of its upstream pair.  ``metrics`` says what the
    accuracies of a pair are.
    """
    lines: dict[tuple[str, str], dict[str, float | None]] = {}
    for table in tables:
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
