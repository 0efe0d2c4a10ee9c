"""The store takes a log once, and never another one of the same name."""

from dataclasses import replace
from pathlib import Path

import pytest

from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.importers.log import Log
from kbench.importers.naming import Name
from kbench.importers.store import StoredImport, store_logs
from kbench.records import imported
from kbench.records.folders import ExperimentDir


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    return ExperimentDir(tmp_path / "results" / "theirs")


def log(run: str = "a", accuracy: float = 0.5, file: str = "x.csv") -> Log:
    return Log(run=run, files=(Path(file),), epochs=({"phase": "train", "epoch": 0, "val_acc1": accuracy},))


def put(
    folder: ExperimentDir, *logs: Log, strategies: str = "a", pair: str = "p", sums: str = "1"
) -> list[StoredImport]:
    names = [Name(pair=pair, strategy=strategy, seed=0) for strategy in strategies.split()]
    return store_logs(folder, "csv", logs, names, [[sums]] * len(logs))


def test_the_same_log_is_taken_once(folder: ExperimentDir) -> None:
    (first,) = put(folder, log())
    written = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    (second,) = put(folder, log())
    assert (first.is_new, second.is_new) == (True, False)
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == written


def test_a_copy_of_the_log_elsewhere_is_the_same_log(folder: ExperimentDir) -> None:
    put(folder, log())
    (again,) = put(folder, log(run="copy", file="y.csv"), sums="2")
    assert not again.is_new


def test_another_log_of_the_same_name_is_refused_and_nothing_is_written(folder: ExperimentDir) -> None:
    put(folder, log())
    before = sorted(folder.path.rglob("*"))
    with pytest.raises(ResultsError, match="p.a.s0: .* holds another log of that name, from x.csv") as raised:
        put(folder, log("b", 0.7), log("a", 0.6), strategies="b a", sums="2")
    assert "--as" in raised.value.hint
    assert sorted(folder.path.rglob("*")) == before


def test_the_same_log_with_another_end_is_refused(folder: ExperimentDir) -> None:
    put(folder, log())
    with pytest.raises(ResultsError, match="p.a.s0: this log was imported before as done, now as interrupted"):
        put(folder, replace(log(), state="interrupted"))


def test_the_same_log_under_another_name_is_refused(folder: ExperimentDir) -> None:
    put(folder, log())
    with pytest.raises(ResultsError, match="x.csv: a was imported before, as p.a.s0"):
        put(folder, log(), strategies="b")


def test_a_name_of_measured_runs_is_refused(folder: ExperimentDir, run_spec: RunSpec) -> None:
    folder.run(run_spec.run_id).prepare(run_spec)
    with pytest.raises(ResultsError, match="holds measured runs of digits-cnn-digits / baseline"):
        put(folder, log(), strategies="baseline", pair="digits-cnn-digits")
    put(folder, log(), strategies="theirs", pair="digits-cnn-digits")
    assert folder.run(run_spec.run_id).read_spec() == run_spec
    assert len(imported.runs(folder)) == 1
