"""Export as CSV, which every spreadsheet reads: epochs, runs, and what the columns mean."""

import csv
import io
from pathlib import Path

from kbench.exporters.registry import Export, ExportFormat, Submission
from kbench.records.folders import ExperimentDir
from kbench.records.schema import Column
from kbench.records.store import EPOCH_COLUMNS, RUN_COLUMNS


def export_csv(folder: ExperimentDir, submission: Submission) -> Export:
    """The two Parquet files as CSV; empty fields are unknown, accuracies fractions, times UTC.

    ``epochs.csv`` is what ``kbench import csv`` reads.
    """
    tables = {"epochs.csv": folder.epochs, "runs.csv": folder.runs}
    return Export({**{name: _table(path) for name, path in tables.items()}, "columns.csv": _column_meanings()})


def _table(path: Path) -> bytes:
    import pyarrow.csv
    import pyarrow.parquet as pq

    written = io.BytesIO()
    pyarrow.csv.write_csv(pq.read_table(path), written)
    return written.getvalue()


def _column_meanings() -> bytes:
    written = io.StringIO(newline="")
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(("file", *Column._fields))
    for name, wanted in (("epochs.csv", EPOCH_COLUMNS), ("runs.csv", RUN_COLUMNS)):
        rows.writerows((name, each.name, each.type.__name__, each.unit, each.about) for each in wanted)
    return written.getvalue().encode()


CSV = ExportFormat("epochs, runs and columns", export_csv, stdout="epochs.csv")
