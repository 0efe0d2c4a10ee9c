"""The results as CSV, which every spreadsheet reads: epochs, runs, and what the columns mean."""

import csv
import io
from pathlib import Path

from kbench.records.folders import ExperimentDir
from kbench.records.schema import Column
from kbench.records.store import EPOCH_COLUMNS, RUN_COLUMNS


def sheets(folder: ExperimentDir) -> dict[str, bytes]:
    """File names and contents; empty fields are unknown, accuracies fractions, times UTC.  The Parquet must be there.

    ``epochs.csv`` is what ``kbench import csv`` reads.
    """
    return {"epochs.csv": _sheet(folder.epochs), "runs.csv": _sheet(folder.runs), "columns.csv": _meanings()}


def _sheet(path: Path) -> bytes:
    import pyarrow.csv
    import pyarrow.parquet as pq

    sheet = io.BytesIO()
    pyarrow.csv.write_csv(pq.read_table(path), sheet)
    return sheet.getvalue()


def _meanings() -> bytes:
    sheet = io.StringIO(newline="")
    rows = csv.writer(sheet, lineterminator="\n")
    rows.writerow(("file", *Column._fields))
    for name, wanted in (("epochs.csv", EPOCH_COLUMNS), ("runs.csv", RUN_COLUMNS)):
        rows.writerows((name, each.name, each.type.__name__, each.unit, each.about) for each in wanted)
    return sheet.getvalue().encode()
