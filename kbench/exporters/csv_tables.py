"""Export as CSV, which every spreadsheet reads: epochs, runs, and what the columns mean."""

import csv
import io
import json
from pathlib import Path

from kbench.exporters.registry import Export, ExportFormat, Submission
from kbench.records.schema import Column
from kbench.records.store import EPOCH_COLUMNS, RUN_COLUMNS, Tables, open_table


def export_csv(gathered: Tables, submission: Submission) -> Export:
    """The two Parquet files as CSV; empty fields are unknown, accuracies fractions, times UTC, lists as in JSON.

    ``epochs.csv`` is what ``kbench import csv`` reads.
    """
    tables = {"epochs.csv": gathered.epochs, "runs.csv": gathered.runs}
    return Export({**{name: _table(table) for name, table in tables.items()}, "columns.csv": _column_meanings()})


def _table(gathered: Path | bytes) -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet as pq

    table, written = pq.read_table(open_table(gathered)), io.BytesIO()
    for place, column in enumerate(table.columns):
        if pa.types.is_list(column.type):
            texts = [None if each is None else json.dumps(each) for each in column.to_pylist()]
            table = table.set_column(place, table.field(place).name, pa.array(texts, pa.string()))
        if pa.types.is_string(column.type):  # a cell that begins so is a formula for a spreadsheet, and runs there
            is_formula = pc.match_substring_regex(column, r"^[=+\-@\t\r]")
            table = table.set_column(
                place, table.field(place), pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)
            )
    pyarrow.csv.write_csv(table, written)
    return written.getvalue()


def _column_meanings() -> bytes:
    written = io.StringIO(newline="")
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(("file", *Column._fields))
    for name, wanted in (("epochs.csv", EPOCH_COLUMNS), ("runs.csv", RUN_COLUMNS)):
        rows.writerows((name, each.name, each.type.__name__, each.unit, each.about) for each in wanted)
    return written.getvalue().encode()


CSV = ExportFormat("epochs, runs and columns", export_csv, stdout="epochs.csv")
