"""The plain table: our column names, any of them left out."""

from datetime import datetime
from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.importers.csv_table import read
from kbench.records.schema import EpochRecord, Identity, columns


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


def test_known_columns_are_read_and_empty_fields_are_unknown(tmp_path: Path) -> None:
    (log,) = read([write(tmp_path, "epoch,val_acc1,train_s,val_loss\n0,0.5,10,\n1,0.6,11,1.5\n")])
    assert log.run == "mine"
    assert log.epochs[0] == {"epoch": 0, "phase": "train", "val_acc1": 0.5, "train_s": 10.0, "elapsed_s": 10.0}
    assert (log.epochs[1]["val_loss"], log.epochs[1]["elapsed_s"]) == (1.5, 21.0)


def test_pair_strategy_and_seed_tell_runs_apart(tmp_path: Path) -> None:
    lines = ["pair,strategy,seed,epoch,val_acc1", "p,a,0,0,0.1", "p,a,1,0,0.2", "p,b,0,0,0.3", "p,a,0,1,0.4"]
    logs = read([write(tmp_path, "\n".join(lines))])
    named = [(log.pair, log.strategy, log.seed, [row["val_acc1"] for row in log.epochs]) for log in logs]
    assert named == [("p", "a", 0, [0.1, 0.4]), ("p", "a", 1, [0.2]), ("p", "b", 0, [0.3])]


def test_names_that_another_store_gave_are_read_over(tmp_path: Path) -> None:
    (log,) = read([write(tmp_path, "experiment,run_id,match_key,attempt,epoch,val_acc1\nx,y,z,2,0,0.5\n")])
    assert log.epochs == ({"epoch": 0, "phase": "train", "val_acc1": 0.5},)


def test_a_time_that_is_unknown_in_one_epoch_is_unknown_in_the_sum(tmp_path: Path) -> None:
    (log,) = read([write(tmp_path, "epoch,train_s,val_acc1\n0,5,0.1\n1,,0.2\n2,5,0.3\n")])
    assert [row.get("elapsed_s") for row in log.epochs] == [5.0, None, None]


def test_phases_follow_one_another(tmp_path: Path) -> None:
    (log,) = read([write(tmp_path, "phase,epoch,train_s\nscore,0,5\nscore,1,5\ntrain,0,5\n")])
    assert [(row["phase"], row["elapsed_s"]) for row in log.epochs] == [("score", 5), ("score", 10), ("train", 15)]


def test_every_column_of_the_store_comes_back(tmp_path: Path) -> None:
    samples = {str: "x", int: "3", float: "0.5", datetime: "2026-01-02 12:00:00+00:00"}
    every = columns(Identity, EpochRecord)
    cells = {column.name: samples.get(column.type, "[0.5]") for column in every}
    (log,) = read([write(tmp_path, f"{','.join(cells)}\n{','.join(cells.values())}\n")])
    assert (log.pair, log.model, log.dataset, log.strategy, log.seed, log.ranks) == ("x", "x", "x", "x", 3, 3)
    made_anew = {"schema_version", "experiment", "run_id", "match_key", "attempt"}
    assert set(log.epochs[0]) == set(EpochRecord.model_fields) - made_anew
    assert (log.epochs[0]["n_trained"], log.epochs[0]["train_s"]) == (3, 0.5)
    assert log.epochs[0]["val_acc_classes"] == (0.5,)


@pytest.mark.parametrize(
    "text, message",
    [
        ("epoch,trainsec\n0,5\n", "mine.csv:1: unknown column 'trainsec'; did you mean 'train_s'?"),
        ("val_acc1\n0.5\n", "mine.csv:1: has no column epoch"),
        ("epoch,seed\n0,1\n", "mine.csv:1: no column says anything of an epoch"),
        ("epoch,epoch\n0,0\n", "mine.csv:1: two columns are named 'epoch'"),
        ("epoch,val_acc1\n0,95.03\n", r"mine.csv:2: val_acc1: must be in \[0, 1\], got 95.03"),
        ("epoch,train_s\n0,ten\n", "mine.csv:2: train_s: must be a finite number, got 'ten'"),
        ("epoch,n_trained\n0,1.5\n", "mine.csv:2: n_trained: must be a whole number from 0, got '1.5'"),
        ("epoch,train_s\n0\n", "mine.csv:2: must have 2 fields as the header has, got 1"),
        ("epoch,train_s\n0,1\n0,1\n", "mine.csv:3: epoch: 0 of phase train comes after 0"),
        ("epoch,train_s\n,1\n", "mine.csv:2: epoch: must be a whole number from 0, got nothing"),
        ("epoch,ended_at\n0,2025-01-01T12:00:00\n", "mine.csv:2: ended_at: must be a time with its zone"),
        ("epoch,val_acc_classes\n0,0.5 0.6\n", "mine.csv:2: val_acc_classes: must be a list"),
        ("epoch,val_acc_classes\n0,[95]\n", r"mine.csv:2: val_acc_classes: must be in \[0, 1\], got 95"),
        ('epoch,val_acc_classes\n0,"[""x""]"\n', "mine.csv:2: val_acc_classes: must be a finite number, got 'x'"),
        ("epoch,val_acc_classes\n0,[[]]\n", r"mine.csv:2: val_acc_classes: must be a finite number, got '\[\]'"),
        ("epoch,train_s\n", "mine.csv: has a header and no line of values"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=message.replace("?", r"\?")) as raised:
        read([write(tmp_path, text)])
    assert raised.value.hint
