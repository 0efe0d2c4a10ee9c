"""kbench export: files for others, read back by kbench, and refusals."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.imported import runs as imported_runs

Here = Callable[..., Any]
Finish = Callable[..., RunDir]


def test_csv_holds_what_the_parquet_holds(
    experiment: ExperimentDir, finish: Finish, here: Here, tmp_path: Path
) -> None:
    finish()
    finish(strategy="random", seed=2)
    said = here("export", "csv", "climate", "-o", "out", cwd=tmp_path)
    assert (said.code, said.out.split()) == (0, ["out/epochs.csv", "out/runs.csv", "out/columns.csv"])
    rows = list(csv.DictReader((tmp_path / "out" / "epochs.csv").read_text().splitlines()))
    table = pq.read_table(experiment.epochs).to_pylist()
    assert [*rows[0]] == [*table[0]]
    assert [float(row["val_acc1"]) for row in rows] == [row["val_acc1"] for row in table]
    assert [row["val_acc5"] for row in rows] == [""] * 8
    assert [json.loads(row["val_acc_classes"]) for row in rows] == [row["val_acc_classes"] for row in table]
    meanings = list(csv.DictReader((tmp_path / "out" / "columns.csv").read_text().splitlines()))
    assert [row["name"] for row in meanings if row["file"] == "epochs.csv"] == [*rows[0]]
    assert {"file": "epochs.csv", "name": "eval_s", "type": "float", "unit": "s"}.items() <= next(
        row for row in meanings if row["name"] == "eval_s"
    ).items()


def test_csv_on_stdout_is_read_back_the_same(
    experiment: ExperimentDir, finish: Finish, here: Here, tmp_path: Path
) -> None:
    finish()
    said = here("export", "csv", "climate", "--output", "-", cwd=tmp_path)
    (tmp_path / "epochs.csv").write_text(said.out)
    assert here("import", "csv", "epochs.csv", "--experiment", "again", cwd=tmp_path).code == 0
    again = ExperimentDir(tmp_path / "results" / "again")
    here("gather", "again", cwd=tmp_path)
    ours, theirs = (pq.read_table(folder.epochs).to_pylist() for folder in (experiment, again))
    new = {"experiment", "run_id", "match_key", "attempt"}
    assert [{k: v for k, v in row.items() if k not in new} for row in theirs] == [
        {k: v for k, v in row.items() if k not in new} for row in ours
    ]


def test_mllog_writes_a_file_per_run_and_says_what_is_missing(
    experiment: ExperimentDir, finish: Finish, here: Here, tmp_path: Path
) -> None:
    for seed in (1, 2):
        finish(seed=seed, provenance={"n_val": None})
    finish((), seed=3, end="")
    said = here("export", "mllog", "climate", "--json", cwd=tmp_path)
    names = [f"results/climate/export/mllog/climate/baseline/result_{seed}.txt" for seed in (1, 2)]
    assert json.loads(said.out)["files"] == names
    assert "note: eval_samples is left out: the run did not record it (2 runs)" in said.err
    assert "note: submission_org is left out: say it with --org (2 runs)" in said.err
    assert "s3" in said.err and "is left out: it has no epoch yet" in said.err
    assert here("import", "mllog", *names, "--experiment", "again", cwd=tmp_path).code == 0
    labels = [run.run_id.rpartition(".")[0] for run in imported_runs(ExperimentDir(tmp_path / "results" / "again"))]
    assert labels == ["climate.baseline.s1", "climate.baseline.s2"]


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["cvs", "climate"], 2, "FORMAT: must be one of csv, mllog, got 'cvs'; did you mean 'csv'?"),
        (["mllog", "climate", "-o", "-"], 2, "--output -: stdout takes the epochs of csv, and nothing else"),
        (["mllog", "climate", "--division", "shut"], 2, "--division: must be one of closed, open, got 'shut'"),
        (["csv", "climate", "-o", "file/below"], 6, "cannot be written: Not a directory"),
        (["csv", "nothing"], 6, "holds no results of 'nothing'"),
    ],
)
def test_a_mistake_is_a_sentence(
    words: list[str], code: int, message: str, finish: Finish, here: Here, tmp_path: Path
) -> None:
    finish()
    (tmp_path / "file").write_text("")
    said = here("export", *words, cwd=tmp_path)
    assert (said.code, said.out) == (code, "")
    assert message in said.err and "Traceback" not in said.err


def test_an_experiment_without_an_epoch_has_no_logs(finish: Finish, here: Here, tmp_path: Path) -> None:
    finish((), end="")
    said = here("export", "mllog", "climate", cwd=tmp_path)
    assert said.code == 6 and "holds no run with an epoch" in said.err
