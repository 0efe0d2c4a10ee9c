"""From journals to Parquet: the journals are the truth, the Parquet is derived."""

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kbench import files
from kbench.errors import ResultsError
from kbench.records import imported
from kbench.records.folders import ExperimentDir
from kbench.records.run_files import RunSnapshot
from kbench.records.schema import Column, EpochRecord, Identity, RunRecord, columns

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH_COLUMNS = columns(Identity, EpochRecord)
RUN_COLUMNS = columns(Identity, RunRecord)

StateOf = Callable[[RunSnapshot], str]


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: it would go through all records again and again, for a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_uncollected()
def gather(experiment: ExperimentDir, state_of: StateOf) -> tuple[int, int]:
    """Write epochs.parquet and runs.parquet anew; returns how many rows each has.

    Every run is there, whatever its state, and those read from logs of others; of each epoch only the
    last attempt's record.
    Raises ResultsError when there is no run.
    """
    runs, theirs = list(experiment.all_runs()), imported.runs(experiment)
    if not runs and not theirs:
        raise ResultsError(
            f"{experiment.path}: holds no runs", hint="start some with kbench run, or name another --results"
        )
    began = time.time_ns()  # what is written from here on is newer than what we make
    seen = [(run, identity(run), state_of(run)) for run in (folder.read() for folder in runs)]
    read = [(run, imported.identity(run), imported.epochs(run)) for run in theirs]
    epochs = [who | vars(record) for run, who, _ in seen for record in run.epochs]
    epochs += [who | row for _, who, rows in read for row in rows]
    _write(experiment.epochs, epochs, EPOCH_COLUMNS, began)
    summaries = [who | summary(run, state) for run, who, state in seen]
    summaries += [who | imported.summary(run, rows) for run, who, rows in read]
    _write(experiment.runs, summaries, RUN_COLUMNS, began)
    return len(epochs), len(summaries)


def stale(experiment: ExperimentDir) -> bool:
    """Whether a run wrote, came, went or may have died since the Parquet was made."""
    if not (experiment.epochs.exists() and experiment.runs.exists()):
        return True
    made = min(experiment.epochs.stat().st_mtime_ns, experiment.runs.stat().st_mtime_ns)
    told = ("epochs.jsonl", "done.json", "failed.json", "job.json", "start.json", "spec.json", imported.NAME)
    every = [run.path / name for run in [*experiment.all_runs(), *imported.runs(experiment)] for name in told]
    written = [experiment.path / "runs", *(file for file in every if file.exists())]
    return any(file.stat().st_mtime_ns >= made for file in written) or _any_alive(experiment.runs)


def _any_alive(runs: Path) -> bool:
    """Whether a gathered run was alive; it may have died since without a word."""
    import pyarrow.parquet as pq

    return bool({"running", "waiting"} & set(pq.read_table(runs, columns=["state"])["state"].to_pylist()))


def identity(run: RunSnapshot) -> dict[str, Any]:
    """The columns that say which run a row belongs to."""
    spec = run.spec
    assert spec is not None
    return {
        "experiment": spec.experiment,
        "pair": spec.pair.name,
        "model": spec.pair.model,
        "dataset": spec.pair.dataset,
        "strategy": spec.strategy.label,
        "seed": spec.seed,
        "ranks": spec.ranks,
        "run_id": run.run_id,
        "match_key": spec.match_key,
    }


def summary(run: RunSnapshot, state: str) -> dict[str, Any]:
    """A run in one line: the columns of RunRecord."""
    provenance, end, records = run.provenance, run.done or run.failure, run.epochs
    job_id = run.start.id if run.start else run.job.id if run.job else None
    final = [r for r in records if r.phase == (run.done.last_phase if run.done else "train")]
    best = max(final, key=lambda r: (r.val_acc1, -r.epoch), default=None)
    known = dict(provenance) | (dict(run.done) if run.done else {})
    return {
        **{name: known.get(name) for name in RunRecord.model_fields},
        "state": state,
        "attempts": run.attempt,
        "epochs_done": len(records),
        "best_acc1": best.val_acc1 if best else None,
        "best_epoch": best.epoch if best else None,
        "final_acc1": final[-1].val_acc1 if final else None,
        "total_train_s": records[-1].elapsed_s if records else None,
        "total_eval_s": sum(r.eval_s for r in records) if records else None,
        "total_s": _total_s(records, provenance.stage_s),
        "upstream": run.spec.prerequisite.run_id if run.spec and run.spec.upstream and run.spec.prerequisite else None,
        "n_trained": sum(r.n_trained for r in records),
        "n_scored": sum(r.n_scored for r in records),
        "n_refreshed": sum(r.n_refreshed for r in records),
        "hidden_mean": sum(r.n_hidden / r.n_samples for r in final) / len(final) if final else None,
        "hosts": ",".join(provenance.hosts) or None,
        "job_id": str(job_id) if job_id is not None else None,
        "started_at": provenance.started_at,
        "ended_at": end.ended_at if end else None,
        "error": run.failure.error if run.failure else None,
    }


def _total_s(records: Sequence[EpochRecord], stage_s: float | None) -> float | None:
    if not records:
        return None
    return records[-1].elapsed_s + sum(record.eval_s for record in records) + (stage_s or 0.0)


def _write(path: Path, rows: list[dict[str, Any]], wanted: list[Column], began: int) -> None:
    """Write a Parquet file whole or not at all, dated by when reading began [ns]."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows, schema=pa.schema([_field(column) for column in wanted]))
    with files.writing(path) as draft:
        pq.write_table(table, draft)
        os.utime(draft, ns=(began, began))


def _field(column: Column) -> "pa.Field[Any]":
    import pyarrow as pa

    types = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    return pa.field(column.name, types[column.type], metadata={"unit": column.unit, "about": column.about})
