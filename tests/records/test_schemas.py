"""Results of every released schema are read: each is kept as an archive, with the Parquet that it made.

1: kbench 0.1 at f826c3a, without ``schema_version``.  2 to 6: the files of tests/fixtures/results-schema-2 to -6.
"""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

import kbench
from kbench.analysis.frame import load
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.records import imported, journal
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import state_of
from kbench.records.migrations import ADDED_IN_3, ADDED_IN_5, ADDED_IN_6, SCHEMA, STEPS
from kbench.records.run_files import Allocation, Failure, Job, Provenance, Start
from kbench.records.run_state import FailureKind, State
from kbench.records.schema import EpochRecord
from kbench.records.store import Tables, gather, match_key, stale

FIXTURES = Path(__file__).parents[1] / "fixtures"
ARCHIVES = {  # experiment in it
    "results-f826c3a": ("old", "oldimport"),
    "results-schema-2": ("small",),
    "results-schema-3": ("small",),
    "results-schema-4": ("small",),
    "results-schema-5": ("small",),
    "results-schema-6": ("small",),
}
EXPERIMENTS = [(archive, name) for archive, names in ARCHIVES.items() for name in names]
RENAMED = {"beside_s": "background_s"}  # columns, by their names in schema 1


@pytest.fixture(params=EXPERIMENTS, ids=lambda each: f"{each[0]}-{each[1]}")
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> ExperimentDir:
    """An experiment as an archive keeps it."""
    name, experiment = request.param
    return unpacked(name, experiment, tmp_path)


def unpacked(name: str, experiment: str, place: Path) -> ExperimentDir:
    with tarfile.open(FIXTURES / f"{name}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    return ExperimentDir(place / "results" / experiment)


def table(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file, by today's names of its columns."""
    found = duckdb.sql(f"select * from '{path}'")
    names = [RENAMED.get(name, name) for name in found.columns]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_journals_of_every_schema_give_the_tables_that_they_gave(kept: ExperimentDir) -> None:
    before = table(kept.epochs), table(kept.runs)
    assert gather(kept, state_of) == tuple(map(len, before))
    for old, new in zip(before, (table(kept.epochs), table(kept.runs)), strict=True):
        assert [{name: row[name] for name in old[0]} for row in new] == old


def test_no_run_of_any_schema_is_damaged(kept: ExperimentDir) -> None:
    assert not [run.trouble for run in kept.read() if run.trouble]
    assert not [run.trouble for run in map(imported.read, imported.runs(kept)) if run.trouble]


def test_tables_of_another_schema_are_made_anew_and_never_half_read(
    kept: ExperimentDir, request: pytest.FixtureRequest
) -> None:
    if f"results-schema-{SCHEMA}" not in request.node.name:
        assert stale(kept)
        with pytest.raises(ResultsError, match="epochs.parquet: another version of kbench made it"):
            load(Tables.of(kept))
    gather(kept, state_of)
    assert len(load(Tables.of(kept)).runs) == len(kept.read()) + len(imported.runs(kept))


def test_there_is_a_step_from_every_schema_and_an_archive_of_it() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA))
    assert len(ARCHIVES) == SCHEMA


@pytest.mark.parametrize("archive, name", EXPERIMENTS[:-4])
def test_what_schema_3_measures_is_null_in_older_tables(archive: str, name: str, tmp_path: Path) -> None:
    folder = unpacked(archive, name, tmp_path)
    gather(folder, state_of)
    assert {row[column] for row in table(folder.epochs) for column in ADDED_IN_3} == {None}
    assert {row[column] for row in table(folder.runs) for column in ("spin", "pairing")} == {None}


@pytest.mark.parametrize("archive, name", EXPERIMENTS[:-2])
def test_accuracies_of_classes_are_null_in_older_tables_and_the_noise_is_that_of_the_spec(
    archive: str, name: str, tmp_path: Path
) -> None:
    folder = unpacked(archive, name, tmp_path)
    gather(folder, state_of)
    assert {row[column] for row in table(folder.epochs) for column in ADDED_IN_5} == {None}
    measured, others = ([run for run in table(folder.runs) if bool(run["imported_from"]) is of] for of in (False, True))
    assert {(run["noise"], run["final_acc_worst"]) for run in measured} <= {(0.0, None)}
    assert {(run["noise"], run["noise_key"]) for run in others} <= {(None, None)}


@pytest.mark.parametrize("archive, name", EXPERIMENTS)
def test_the_loss_with_smoothed_labels_is_null_in_older_tables(archive: str, name: str, tmp_path: Path) -> None:
    folder = unpacked(archive, name, tmp_path)
    gather(folder, state_of)
    known = [row[column] is not None for row in table(folder.epochs) for column in ADDED_IN_6]
    assert all(known) if archive == "results-schema-6" else not any(known)


def test_runs_are_matched_with_those_of_the_same_spin_and_in_turn_with_those_in_turn(run_spec: RunSpec) -> None:
    known = Provenance(spin="GOMP_SPINCOUNT=20000", pairing="none")
    assert match_key(run_spec, Provenance()) == run_spec.match_key
    assert match_key(run_spec, Provenance(pairing="node")) == run_spec.match_key
    assert match_key(run_spec, known) == match_key(run_spec, known.updated(pairing="node"))
    others = ({"spin": None}, {"spin": "default"}, {"pairing": "turns"}, {"spin": None, "pairing": "turns"})
    keys = {match_key(run_spec, known.updated(**changes)) for changes in ({}, *others)}
    assert len(keys) == 1 + len(others)


def aged(folder: ExperimentDir) -> None:
    """Make all files ten seconds older: clocks of file systems are coarse."""
    for path in folder.path.rglob("*"):
        seen = path.stat()
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns - 10**10))


@pytest.mark.parametrize("key", [b"schema_version", b"kbench_version"])
@pytest.mark.parametrize("name", ["epochs", "runs"])
def test_tables_carry_the_schema_and_the_version_that_made_them(
    key: bytes, name: str, make_run, experiment_dir: ExperimentDir
) -> None:
    make_run(epochs=1, end="done")
    aged(experiment_dir)
    gather(experiment_dir, state_of)
    assert not stale(experiment_dir)
    path: Path = getattr(experiment_dir, name)
    found = pq.read_table(path)
    made_by = {b"schema_version": str(SCHEMA).encode(), b"kbench_version": kbench.__version__.encode()}
    assert {name: found.schema.metadata[name] for name in made_by} == made_by
    pq.write_table(found.replace_schema_metadata({**made_by, key: b"0"}), path)
    assert stale(experiment_dir)
    with pytest.raises(ResultsError, match=f"{name}.parquet: another version of kbench made it"):
        load(Tables.of(experiment_dir))


def test_a_table_that_is_none_is_made_anew(make_run, experiment_dir: ExperimentDir) -> None:
    make_run(epochs=1, end="done")
    aged(experiment_dir)
    gather(experiment_dir, state_of)
    experiment_dir.runs.write_bytes(b"PAR1")
    assert stale(experiment_dir)


# schema 1, key by key


def written(run: RunDir, name: str, **entry: Any) -> None:
    (run.path / name).write_text(json.dumps(entry))


def test_what_the_site_promised_is_the_allocation(make_run) -> None:
    run = make_run()
    promised = {"nodes": 2, "ranks_per_node": 4, "gpus_per_node": 4}
    written(run, "job.json", attempt=3, host="n1", launcher="slurm", token="kb0", task=7, promised=promised)
    job = Job.read(run.path)
    assert job and job.allocation == Allocation(**promised)
    assert (job.attempt, job.task, job.max_parallel, job.schema_version) == (3, 7, 1, SCHEMA)


@pytest.mark.parametrize(
    ("kind", "read", "exception", "state"),
    [
        ("LeaderMissing", FailureKind.PREREQUISITE_MISSING, None, State.INTERRUPTED),
        ("PrerequisiteMissing", FailureKind.PREREQUISITE_MISSING, None, State.INTERRUPTED),
        ("TimeLimit", FailureKind.TIME_LIMIT, None, State.INTERRUPTED),
        ("NodeFailure", FailureKind.NODE_FAILURE, None, State.INTERRUPTED),
        ("Preempted", FailureKind.PREEMPTED, None, State.INTERRUPTED),
        ("Vanished", FailureKind.VANISHED, None, State.INTERRUPTED),
        ("Cancelled", FailureKind.CANCELLED, None, State.CANCELLED),
        ("Ended", FailureKind.ENDED, None, State.CANCELLED),
        ("Died", FailureKind.DIED, None, State.FAILED),
        ("OutOfMemory", FailureKind.OUT_OF_MEMORY, None, State.FAILED),
        ("LaunchError", FailureKind.RAISED, "LaunchError", State.FAILED),
        ("IndexError", FailureKind.RAISED, "IndexError", State.FAILED),
        (None, FailureKind.RAISED, None, State.FAILED),
    ],
)
def test_a_kind_of_failure_keeps_its_meaning(
    kind: str | None, read: FailureKind, exception: str | None, state: State, make_run
) -> None:
    run = make_run()
    written(run, "failed.json", error="it broke", kind=kind, attempt=1, ended_at="2026-01-01T00:00:00+00:00")
    failure = Failure.read(run.path)
    assert failure and (failure.kind, failure.exception, failure.kind.state) == (read, exception, state)
    assert failure.kind.needs_retry == (state is not State.INTERRUPTED)
    assert ("--retry" in failure.kind.hint) == failure.kind.needs_retry


def test_starts_before_the_last_are_read(make_run) -> None:
    run = make_run()
    start = {"id": "5", "scheduler": "sge", "host": "n1", "nodes": ["n1"], "restarts": 0}
    first = {**start, "attempt": 1, "started_at": "2026-01-01T00:00:00+00:00"}
    written(run, "start.json", **start, attempt=2, started_at="2026-01-01T01:00:00+00:00", earlier=[first])
    read = Start.read(run.path)
    assert read and [one.attempt for one in (*read.earlier, read)] == [1, 2]


def test_keys_that_schema_1_let_in_are_dropped_and_those_of_this_schema_are_refused(make_run) -> None:
    run = make_run()
    written(run, "job.json", attempt=1, host="n1", colour="red")
    assert Job.read(run.path) == Job(attempt=1, host="n1")
    written(run, "job.json", schema_version=SCHEMA, attempt=1, host="n1", colour="red")
    with pytest.raises(ResultsError, match="job.json: colour: extra inputs are not permitted, got 'red'"):
        Job.read(run.path)


def test_a_line_of_schema_1_has_the_columns_of_today(make_run, make_epoch) -> None:
    run, record = make_run(), make_epoch(0, background_s=0.5)
    old = record.model_dump(mode="json", exclude={"schema_version", "background_s"})
    run.journal.write_text(json.dumps(old | {"beside_s": 0.5}) + "\n")
    assert run.epochs() == [record]
    journal.append(run.journal, make_epoch(1))
    assert run.epochs() == [record, make_epoch(1)]


@pytest.mark.parametrize("column", [name for name, field in EpochRecord.model_fields.items() if field.is_required()])
def test_a_line_that_lacks_a_column_is_refused_with_a_sentence(column: str, make_run, make_epoch) -> None:
    run = make_run()
    run.journal.write_text(json.dumps(make_epoch(0).model_dump(mode="json", exclude={column})) + "\n")
    wrong = f"epochs.jsonl: line 1 is no record of an epoch: {column}: field required"
    assert run.read().trouble.startswith(wrong)
