"""From journals to Parquet that any tool reads."""

import os
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from kbench import files
from kbench.errors import ResultsError
from kbench.records.folders import ExperimentDir
from kbench.records.liveness import state_of
from kbench.records.migrations import ADDED_IN_3, ADDED_IN_5, ADDED_IN_6
from kbench.records.run_files import Job
from kbench.records.store import gather, stale

IDENTITY = "experiment pair model dataset strategy seed ranks run_id match_key "
EPOCHS = (
    IDENTITY + "attempt phase epoch lr lr_scale n_samples n_trained n_scored n_refreshed n_hidden n_dropped train_loss "
    "train_acc val_loss val_acc1 val_acc5 train_s plan_s data_s forward_s backward_s update_s select_s refresh_s "
    "sync_s eval_s elapsed_s cpu_s peak_mem_bytes ended_at"
).split()
RUNS = (
    IDENTITY
    + "state attempts epochs_done best_acc1 best_epoch final_acc1 total_train_s total_eval_s stage_s n_trained "
    "n_scored n_refreshed hidden_mean commit dirty torch_version device_name n_devices hosts job_id started_at ended_at"
).split()

# Columns that the contract lets stand between its own: null, or 0, where older journals have none.
NEWER = (
    "ceiling background_s metric threads_per_rank max_parallel launcher weights_digest order_digest augment_digest "
    "disturbs imported_from error total_s upstream dataset_note dataset_identity spin pairing "
    "block place first_read_s charged_s writer final_acc_worst strategy_code"
).split() + sorted(ADDED_IN_3 | ADDED_IN_5 | ADDED_IN_6)
OF_THE_SPEC = ["noise", "noise_key"]


@pytest.fixture
def gathered(experiment_dir: ExperimentDir, make_run) -> ExperimentDir:
    """Three runs: one done, one failed after an epoch, one never started."""
    make_run(seed=0, epochs=3, end="done")
    make_run(seed=1, epochs=1, end="failed")
    make_run(seed=2)
    assert gather(experiment_dir, state_of) == (4, 3)
    return experiment_dir


def test_epochs_have_the_columns_of_the_contract_in_its_order(gathered: ExperimentDir) -> None:
    assert [name for name in pq.read_schema(gathered.epochs).names if name not in NEWER] == EPOCHS


def test_runs_have_the_columns_of_the_contract_in_its_order(gathered: ExperimentDir) -> None:
    assert [name for name in pq.read_schema(gathered.runs).names if name not in NEWER + OF_THE_SPEC] == RUNS


def test_a_journal_that_knows_nothing_of_newer_columns_is_read_all_the_same(
    experiment_dir: ExperimentDir, make_run, make_epoch
) -> None:
    run, entry = make_run(), make_epoch(0).model_dump(mode="json")
    with_defaults = {"ceiling", "background_s", "charged_s", "writer"} | ADDED_IN_3 | ADDED_IN_5 | ADDED_IN_6
    assert set(NEWER) & entry.keys() == with_defaults
    files.append(run.journal, {key: value for key, value in entry.items() if key not in NEWER})
    assert gather(experiment_dir, state_of) == (1, 1)
    epochs, runs = (pd.read_parquet(path) for path in (experiment_dir.epochs, experiment_dir.runs))
    assert (epochs.ceiling.isna().all(), epochs.background_s.tolist(), epochs.charged_s.tolist()) == (
        True,
        [0.0],
        [0.0],
    )
    assert runs[[name for name in NEWER if name in runs and name != "total_s"]].isna().all().all()
    assert runs.total_s.tolist() == (runs.total_train_s + runs.total_eval_s).tolist()


def test_every_column_tells_its_unit_and_meaning(gathered: ExperimentDir) -> None:
    for path in (gathered.epochs, gathered.runs):
        for field in pq.read_schema(path):
            assert field.metadata.keys() == {b"unit", b"about"}
            assert field.metadata[b"about"]


@pytest.mark.parametrize(
    "column, unit",
    [("train_s", b"s"), ("peak_mem_bytes", b"byte"), ("val_acc1", b"fraction"), ("n_trained", b"sample")],
)
def test_a_unit_stands_in_the_metadata_of_its_field(column: str, unit: bytes, gathered: ExperimentDir) -> None:
    assert pq.read_schema(gathered.epochs).field(column).metadata[b"unit"] == unit


def test_names_ending_in_s_are_seconds_and_those_beginning_with_n_are_whole(gathered: ExperimentDir) -> None:
    for path in (gathered.epochs, gathered.runs):
        for field in pq.read_schema(path):
            if field.name.endswith("_s"):
                assert (str(field.type), field.metadata[b"unit"]) == ("double", b"s")
            if field.name.startswith("n_"):
                assert str(field.type) == "int64"


def test_pandas_reads_one_row_per_epoch(gathered: ExperimentDir) -> None:
    frame = pd.read_parquet(gathered.epochs)
    assert list(zip(frame.seed, frame.epoch, strict=True)) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert frame.val_acc1.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.1])
    assert str(frame.ended_at.dt.tz) == "UTC"


def test_duckdb_reads_the_same(gathered: ExperimentDir) -> None:
    query = f"select seed, max(epoch), sum(train_s), avg(val_acc1) from '{gathered.epochs}' group by seed order by seed"
    assert duckdb.sql(query).fetchall() == [(0, 2, 6.0, pytest.approx(0.2)), (1, 0, 2.0, pytest.approx(0.1))]


def test_the_two_tables_join_on_the_run(gathered: ExperimentDir) -> None:
    query = f"select count(*) from '{gathered.epochs}' join '{gathered.runs}' using (run_id) where state = 'failed'"
    assert duckdb.sql(query).fetchall() == [(1,)]


def test_every_run_is_there_whatever_its_state(gathered: ExperimentDir, make_run) -> None:
    make_run(seed=3, epochs=2).begin(Job.of(attempt=1))
    gather(gathered, state_of)
    frame = pd.read_parquet(gathered.runs)
    assert frame.state.tolist() == ["done", "failed", "missing", "interrupted"]
    assert frame.epochs_done.tolist() == [3, 1, 0, 2]
    assert frame.error.fillna("").tolist() == ["", "it broke", "", ""]


def test_a_run_in_one_line_sums_up_its_epochs(gathered: ExperimentDir) -> None:
    row = pd.read_parquet(gathered.runs).iloc[0]
    assert (row.best_acc1, row.best_epoch, row.final_acc1) == (pytest.approx(0.3), 2, pytest.approx(0.3))
    assert (row.total_train_s, row.total_eval_s, row.hidden_mean) == (6.0, 1.5, pytest.approx(0.2))
    assert (row.n_trained, row.n_scored, row.n_refreshed) == (240, 30, 60)


def test_the_best_epoch_is_the_first_that_reached_the_best(experiment_dir: ExperimentDir, make_run, make_epoch) -> None:
    run = make_run()
    for epoch, accuracy in enumerate([0.5, 0.9, 0.9, 0.7]):
        files.append(run.journal, make_epoch(epoch, val_acc1=accuracy).model_dump(mode="json"))
    gather(experiment_dir, state_of)
    row = pd.read_parquet(experiment_dir.runs).iloc[0]
    assert (row.best_acc1, row.best_epoch, row.final_acc1) == (0.9, 1, 0.7)


def test_what_a_run_cannot_know_is_null(gathered: ExperimentDir) -> None:
    row = pd.read_parquet(gathered.runs).iloc[2]
    assert row[["best_acc1", "final_acc1", "total_train_s", "hidden_mean", "started_at", "device_name"]].isna().all()
    assert row[["n_trained", "n_scored", "n_refreshed", "attempts"]].tolist() == [0, 0, 0, 0]


def test_gathering_again_changes_nothing(gathered: ExperimentDir) -> None:
    before = [path.read_bytes() for path in (gathered.epochs, gathered.runs)]
    gather(gathered, state_of)
    assert [path.read_bytes() for path in (gathered.epochs, gathered.runs)] == before


def test_a_torn_journal_is_gathered_up_to_the_tear(gathered: ExperimentDir) -> None:
    run = next(gathered.all_runs())
    with run.journal.open("ab") as file:
        file.write(b'{"attempt": 1, "phase": "tr')
    assert gather(gathered, state_of) == (4, 3)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_runs_has_nothing_to_gather(made: bool, experiment_dir: ExperimentDir) -> None:
    if made:
        experiment_dir.path.mkdir(parents=True)
    with pytest.raises(ResultsError, match="holds no runs"):
        gather(experiment_dir, state_of)


def age(folder: Path) -> None:
    """Make everything that runs wrote ten seconds older: clocks of file systems are coarse."""
    for path in folder.glob("runs/*/*"):
        seen = path.stat()
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns - 10**10))


def test_what_was_just_gathered_is_not_stale(gathered: ExperimentDir) -> None:
    age(gathered.path)
    assert not stale(gathered)


@pytest.mark.parametrize("name", ["epochs", "runs"])
def test_a_missing_table_is_stale(name: str, gathered: ExperimentDir) -> None:
    age(gathered.path)
    getattr(gathered, name).unlink()
    assert stale(gathered)


def test_a_run_that_wrote_since_makes_the_tables_stale(gathered: ExperimentDir, make_epoch) -> None:
    age(gathered.path)
    files.append(next(gathered.all_runs()).journal, make_epoch(3).model_dump(mode="json"))
    assert stale(gathered)
