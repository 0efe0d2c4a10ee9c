"""Imported runs in the store: nulls where nothing is known, beside our own and never matched with them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from kbench.records import imported
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.imported import File, Imported
from kbench.records.liveness import state_of
from kbench.records.schema import EpochRecord
from kbench.records.store import EPOCH_COLUMNS, gather, stale

MakeRun = Callable[..., RunDir]


def facts(**changes: Any) -> Imported:
    known = {
        "experiment": "small", "pair": "theirs", "strategy": "sb", "seed": 0, "format": "csv", "run": "sb",
        "files": (File(path="x.csv", sha256="0" * 64),), "digest": "ab" * 32, "kbench_version": "1",
        "imported_at": datetime(2026, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    return Imported.model_validate(known | changes)


def rows(folder: ExperimentDir, kind: str) -> list[dict[str, Any]]:
    return pq.read_table(getattr(folder, kind)).to_pylist()


def test_known_columns_are_gathered_and_the_others_are_null(experiment_dir: ExperimentDir) -> None:
    imported.write(experiment_dir, facts(), [{"phase": "train", "epoch": 0, "val_acc1": 0.5}])
    assert gather(experiment_dir, state_of) == (1, 1)
    (row,) = rows(experiment_dir, "epochs")
    told = {"experiment", "pair", "strategy", "seed", "run_id", "match_key", "phase", "epoch", "val_acc1"}
    assert {name for name, value in row.items() if value is not None} == told
    assert (row["run_id"], row["val_acc1"]) == ("theirs.sb.s0.abababab", 0.5)
    assert [column.name for column in EPOCH_COLUMNS] == list(row)


def test_a_run_in_one_line_is_marked_and_sums_need_every_term(experiment_dir: ExperimentDir) -> None:
    epochs = [{"phase": "train", "epoch": n, "val_acc1": acc, "train_s": s} for n, acc, s in ((0, 0.6, 5), (1, 0.5, 6))]
    imported.write(experiment_dir, facts(), epochs)
    imported.write(experiment_dir, facts(strategy="a"), [*epochs, {"phase": "train", "epoch": 2}])
    gather(experiment_dir, state_of)
    part, whole = rows(experiment_dir, "runs")
    assert (whole["imported_from"], whole["state"]) == ("csv", "done")
    assert (whole["best_acc1"], whole["best_epoch"], whole["final_acc1"]) == (0.6, 0, 0.5)
    assert (whole["total_train_s"], whole["total_eval_s"], whole["n_trained"], whole["attempts"]) == (
        11,
        None,
        None,
        None,
    )
    assert (part["total_train_s"], part["final_acc1"], part["epochs_done"]) == (None, None, 3)


def test_every_column_of_an_epoch_may_be_imported_and_none_need_be() -> None:
    assert set(imported.ImportedEpoch.model_fields) == {"hidden_share", *EpochRecord.model_fields}
    assert dict(imported.ImportedEpoch.model_validate({})) == dict(imported.EMPTY)


@pytest.mark.parametrize(
    "shares, mean",
    [([0.0, 0.3, None], 0.15), ([0.0, None, 0.3], None), ([None], None), ([0.25], 0.25), ([0.0, 0.0], 0.0)],
)
def test_the_mean_share_may_lack_the_last_epoch_only(shares: list[float | None], mean: float | None) -> None:
    assert imported.hidden_mean([{**imported.EMPTY, "hidden_share": share} for share in shares]) == mean


def test_counts_give_the_share_where_they_are_known() -> None:
    row = {**imported.EMPTY, "n_hidden": 25, "n_samples": 100, "hidden_share": 0.9}
    assert imported.hidden_mean([row]) == 0.25


def test_imported_runs_match_each_other_and_never_a_measured_one(
    experiment_dir: ExperimentDir, make_run: MakeRun
) -> None:
    ours = make_run(epochs=1, end="done")
    same = {"pair": ours.read_spec().pair.name, "seed": ours.read_spec().seed}
    keys = {facts(**same, strategy=strategy).match_key for strategy in ("baseline", "sb")}
    assert len(keys) == 1
    assert ours.read_spec().match_key not in keys
    assert keys.isdisjoint({facts(**same | {"seed": 1}).match_key, facts(**same | {"pair": "other"}).match_key})


def test_imported_runs_are_gathered_beside_measured_ones_but_are_not_among_them(
    experiment_dir: ExperimentDir, make_run: MakeRun
) -> None:
    ours = make_run(epochs=2, end="done")
    theirs = imported.write(experiment_dir, facts(), [{"phase": "train", "epoch": 0}])
    assert gather(experiment_dir, state_of) == (3, 2)
    assert [run.run_id for run in experiment_dir.all_runs()] == [ours.run_id]
    assert [run.run_id for run in imported.runs(experiment_dir)] == [theirs.run_id]
    assert [row["imported_from"] for row in rows(experiment_dir, "runs")] == [None, "csv"]


def test_another_import_makes_the_parquet_stale(experiment_dir: ExperimentDir) -> None:
    imported.write(experiment_dir, facts(), [{"phase": "train", "epoch": 0}])
    gather(experiment_dir, state_of)
    assert not stale(experiment_dir)
    imported.write(experiment_dir, facts(seed=1), [{"phase": "train", "epoch": 0}])
    assert stale(experiment_dir)


def test_a_folder_whose_import_was_cut_off_is_no_run(experiment_dir: ExperimentDir) -> None:
    run = imported.write(experiment_dir, facts(), [{"phase": "train", "epoch": 0}])
    (run.path / imported.NAME).unlink()
    assert imported.runs(experiment_dir) == []


def test_a_damaged_imported_json_is_named_and_stops_nothing(experiment_dir: ExperimentDir, make_run: MakeRun) -> None:
    make_run(epochs=2, end="done")
    run = imported.write(experiment_dir, facts(), [{"phase": "train", "epoch": 0}])
    (run.path / imported.NAME).write_text("{}")
    assert gather(experiment_dir, state_of) == (2, 2)
    ours, theirs = rows(experiment_dir, "runs")
    assert (ours["state"], theirs["state"], theirs["run_id"]) == ("done", "damaged", run.run_id)
    assert theirs["error"] == "imported.json: experiment: field required; remove its folder and import the log again"


@pytest.mark.parametrize("line", ["{", "[1]", '{"epoch": "two"}', '{"unknown": 1}', '{"schema_version": 9}'])
def test_a_damaged_line_of_an_imported_run_is_named(line: str, experiment_dir: ExperimentDir) -> None:
    run = imported.write(experiment_dir, facts(), [{"phase": "train", "epoch": 0}])
    with run.journal.open("a") as file:
        file.write(f"{line}\n")
    assert gather(experiment_dir, state_of) == (0, 1)
    (row,) = rows(experiment_dir, "runs")
    assert row["state"] == "damaged" and row["error"].startswith("epochs.jsonl: line 2 is no record of an epoch: ")
