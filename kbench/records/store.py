"""From journals to Parquet: the journals are the truth, the Parquet is derived."""

import gc
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kbench
from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.records import imported, journal
from kbench.records.folders import ExperimentDir
from kbench.records.imported import Imported
from kbench.records.migrations import SCHEMA
from kbench.records.run_files import Done, Failure, Job, Provenance, Start
from kbench.records.run_state import State
from kbench.records.schema import Column, EpochRecord, Identity, RunRecord, columns, identity_of
from kbench.records.snapshot import SPEC, RunSnapshot

if TYPE_CHECKING:
    import pyarrow as pa

MADE_BY = {b"schema_version": str(SCHEMA).encode(), b"kbench_version": kbench.__version__.encode()}
EPOCH_COLUMNS = columns(Identity, EpochRecord)
RUN_COLUMNS = columns(Identity, RunRecord)

StateOf = Callable[[RunSnapshot], str]


@dataclass(frozen=True)
class Tables:
    """An experiment's gathered tables: Parquet files, or the contents of such where none could be written."""

    folder: ExperimentDir
    epochs: Path | bytes
    runs: Path | bytes

    @classmethod
    def of(cls, folder: ExperimentDir) -> "Tables":
        """Those that lie in the folder."""
        return cls(folder, folder.epochs, folder.runs)


def open_table(table: Path | bytes) -> Path | io.BytesIO:
    """What pandas and pyarrow read a table from."""
    return io.BytesIO(table) if isinstance(table, bytes) else table


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


def gather(experiment: ExperimentDir, state_of: StateOf) -> tuple[int, int]:
    """Write epochs.parquet and runs.parquet anew; returns how many rows each has.

    Raises ResultsError when there is no run, or a table cannot be written.
    """
    began = time.time_ns()  # what is written from here on is newer than what we make
    epochs, runs = _new_tables(experiment, state_of)
    _write(experiment.epochs, epochs, began)
    _write(experiment.runs, runs, began)
    return len(epochs), len(runs)


def tables(experiment: ExperimentDir, state_of: StateOf) -> Tables:
    """Find the tables, made anew when journals are newer; in memory where the folder cannot be written to."""
    if not stale(experiment):
        return Tables.of(experiment)
    began, (epochs, runs) = time.time_ns(), _new_tables(experiment, state_of)
    try:
        _write(experiment.epochs, epochs, began)
        _write(experiment.runs, runs, began)
    except ResultsError:  # a read-only copy, a full disk: results can be read all the same
        return Tables(experiment, _parquet(epochs), _parquet(runs))
    return Tables.of(experiment)


@_uncollected()
def _new_tables(experiment: ExperimentDir, state_of: StateOf) -> "tuple[pa.Table, pa.Table]":
    """The rows of epochs and runs.

    Every run is there, whatever its state, and those read from logs of others; of each epoch only the
    record that counts, and none of a damaged run.
    """
    runs, others = experiment.read(), [imported.read(run) for run in imported.runs(experiment)]
    if not runs and not others:
        raise ResultsError(
            f"{experiment.path}: holds no runs", hint="start some with kbench run, or name another --results"
        )
    seen = [(identity(run), run, state_of(run)) for run in runs]
    seen = [(key, replace(run, epochs=()) if state is State.DAMAGED else run, state) for key, run, state in seen]
    epochs = [key | vars(record) for key, run, _ in seen for record in run.epochs]
    epochs += [run.identity | row for run in others for row in run.epochs]
    summaries = [key | summary(run, state) for key, run, state in seen]
    summaries += [run.identity | run.summary for run in others]
    return _table(epochs, EPOCH_COLUMNS), _table(summaries, RUN_COLUMNS)


def stale(experiment: ExperimentDir) -> bool:
    """Whether a run wrote, came, went or may have died since the Parquet was made, or another kbench made it."""
    tables = (experiment.epochs, experiment.runs)
    if not all(map(is_current, tables)):
        return True
    gathered_at = min(table.stat().st_mtime_ns for table in tables)
    names = (journal.NAME, *(kind.NAME for kind in (Done, Failure, Job, Start, Provenance, Imported)), SPEC)
    every = [run.path / name for run in [*experiment.all_runs(), *imported.runs(experiment)] for name in names]
    written = [experiment.runs_folder, experiment.source, *every]
    return any(file.stat().st_mtime_ns >= gathered_at for file in written if file.exists()) or _any_alive(
        experiment.runs
    )


def is_current(table: Path) -> bool:
    """Whether a Parquet file was made by this very kbench; one of another is made anew, and never half read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(table).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return {key: found.get(key) for key in MADE_BY} == MADE_BY


def _any_alive(runs: Path) -> bool:
    """Whether a gathered run was alive; it may have died since without a word."""
    import pyarrow.parquet as pq

    return bool({"running", "waiting"} & set(pq.read_table(runs, columns=["state"])["state"].to_pylist()))


def identity(run: RunSnapshot) -> dict[str, Any]:
    """The columns that say which run a row belongs to."""
    spec = run.spec
    if spec is None:
        return identity_of(run.run_id, run.path.parent.parent.name)
    return {
        "experiment": spec.experiment,
        "pair": spec.pair.name,
        "model": spec.pair.model,
        "dataset": spec.pair.dataset,
        "strategy": spec.strategy.label,
        "seed": spec.seed,
        "ranks": spec.ranks,
        "run_id": run.run_id,
        "match_key": match_key(spec, run.provenance),
    }


def match_key(spec: RunSpec, provenance: Provenance) -> str:
    """The key of the spec, with what measured the run: runs are matched with those that the same instruments measured.

    Instruments are how long idle threads spin, and whether the runs of a block took turns.
    """
    instruments = [provenance.spin, provenance.pairing if provenance.pairing == "turns" else None]
    return f"{spec.match_key}-{imported.digest(instruments)[:4]}" if any(instruments) else spec.match_key


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
        "final_acc_worst": final[-1].val_acc_worst if final else None,
        "noise": run.spec.pair.recipe.noise if run.spec else None,
        "noise_key": run.spec.noise_key if run.spec else None,
        "total_train_s": records[-1].elapsed_s if records else None,
        "total_eval_s": sum(r.eval_s for r in records) if records else None,
        "total_s": _total_s(records, provenance.stage_s),
        "upstream": run.spec.prerequisite.run_id if run.spec and run.spec.upstream and run.spec.prerequisite else None,
        "n_trained": sum(r.n_trained for r in records),
        "n_scored": sum(r.n_scored for r in records),
        "n_refreshed": sum(r.n_refreshed for r in records),
        "hidden_mean": sum(r.n_hidden / r.n_samples for r in final) / len(final) if final else None,
        "block": run.job.block if run.job else None,
        "place": run.job.place if run.job else None,
        "hosts": ",".join(provenance.hosts) or None,
        "job_id": str(job_id) if job_id is not None else None,
        "started_at": provenance.started_at,
        "ended_at": end.ended_at if end else None,
        "error": run.trouble if state == State.DAMAGED else run.failure.error if run.failure else None,
    }


def _total_s(records: Sequence[EpochRecord], stage_s: float | None) -> float | None:
    if not records:
        return None
    return records[-1].elapsed_s + sum(record.eval_s for record in records) + (stage_s or 0.0)


def _table(rows: list[dict[str, Any]], wanted: list[Column]) -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=pa.schema([_field(column) for column in wanted], metadata=MADE_BY))


def _parquet(table: "pa.Table") -> bytes:
    import pyarrow.parquet as pq

    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


def _write(path: Path, table: "pa.Table", began: int) -> None:
    """Write a Parquet file whole or not at all, dated by when reading began [ns]."""
    import pyarrow.parquet as pq

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
        tuple[float | None, ...]: pa.list_(pa.float64()),
    }
    return pa.field(column.name, types[column.type], metadata={"unit": column.unit, "about": column.about})
