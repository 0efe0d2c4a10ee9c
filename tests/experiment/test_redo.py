"""Runs that are done are trained again from the first epoch; their records are kept apart."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.errors import ConfigError
from kbench.experiment.redo import matching, set_aside
from kbench.records.folders import ExperimentDir
from kbench.records.hits import Hits
from kbench.records.liveness import state_of
from kbench.records.run_files import Job
from kbench.records.run_state import State
from kbench.records.store import gather


@pytest.fixture
def small(small_folder: Path, tmp_path: Path) -> ExperimentDir:
    """A copy of a finished experiment that may be written to."""
    shutil.copytree(small_folder, tmp_path, dirs_exist_ok=True)
    return ExperimentDir(tmp_path / "results" / "small")


def specs_of(experiment: ExperimentDir) -> list[RunSpec]:
    return [run.read_spec() for run in experiment.all_runs()]


def test_a_run_is_named_by_its_id_its_label_or_a_pattern(small: ExperimentDir) -> None:
    runs = specs_of(small)
    named = {pattern: [(run.strategy.label, run.seed) for run in matching(runs, [pattern], small)] for pattern in (
        "random", runs[0].run_id, "digits-cnn-digits.random.s1", "*.s1", "ka*",
    )}  # fmt: skip
    assert named == {
        "random": [("random", 0), ("random", 1)],
        runs[0].run_id: [("baseline", 0)],
        "digits-cnn-digits.random.s1": [("random", 1)],
        "*.s1": [("baseline", 1), ("random", 1), ("kakurenbo", 1)],
        "ka*": [("kakurenbo", 0), ("kakurenbo", 1)],
    }
    assert matching(runs, ["random", "*.random.s0"], small) == matching(runs, ["random"], small)
    assert matching(runs, [], small) == []
    with pytest.raises(ConfigError, match="--redo ranom: .*did you mean 'random'"):
        matching(runs, ["ranom", "baseline"], small)


def test_disturbed_stands_for_the_runs_that_the_rule_names(small: ExperimentDir) -> None:
    runs = specs_of(small)
    for number, run in enumerate(runs):
        share, others = (0.12, 0.9) if number == 1 else (0.97, 0.01)
        files.write(small.run(run.run_id).journal, "".join(
            json.dumps(json.loads(line) | {"cpu_share": share, "others_share": others, "cpu_wait_s": None}) + "\n"
            for line in small.run(run.run_id).journal.read_text().splitlines()
        ))  # fmt: skip
    assert matching(runs, ["disturbed"], small) == [runs[1]]
    assert matching(runs, ["disturbed", "random"], small) == [runs[1], *matching(runs, ["random"], small)]
    assert matching(runs[2:], ["disturbed"], small) == []


def test_the_record_of_a_done_run_is_kept_apart_and_the_next_attempt_begins_anew(small: ExperimentDir) -> None:
    spec = specs_of(small)[0]
    run, before, said = small.run(spec.run_id), small.run(spec.run_id).read(), list[str]()
    (run.path / "failed.json").unlink(missing_ok=True)
    assert set_aside(small, [spec], said.append) == [run] and "superseded/attempt-1" in said[0]
    kept = {path.name for path in (run.path / "superseded" / "attempt-1").iterdir()}
    assert {"job.json", "provenance.json", "done.json", "epochs.jsonl", "hits.json", "stdout.log", "stderr.log"} <= kept
    now = run.read()
    assert not now.trouble and not now.epochs and not run.checkpoint.exists() and now.n_redone == 1
    assert Hits.read(run.path) is None
    assert state_of(now) is State.INTERRUPTED and now.attempt == before.attempt == 1
    run.begin(Job.of(attempt=run.read_attempt() + 1))
    assert not run.read().trouble and run.read().epochs == ()
    assert set_aside(small, [spec], said.append) == [] and "not done" in said[1]
    n_epochs, n_runs = gather(small, state_of)
    assert (n_epochs, n_runs) == (15, 6)  # nothing of the record that is kept apart


def test_a_run_that_is_trained_again_has_the_same_numbers_and_a_mark(
    small: ExperimentDir, tmp_path: Path, kbench: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    spec = next(spec for spec in specs_of(small) if spec.strategy.label == "random")
    before = small.run(spec.run_id).read()
    words = ("small.yaml", "--set", "threads_per_rank=1", "--redo", f"*.random.s{spec.seed}")
    planned = kbench("run", *words, "--dry-run")
    assert f"{spec.run_id}  done, to be trained again" in planned.stdout
    done = kbench("run", *words)
    assert done.returncode == 0, done.stderr
    after = small.run(spec.run_id).read()
    assert (after.attempt, after.n_redone, len(after.epochs)) == (2, 1, 3)
    assert [e.train_loss for e in after.epochs] == [e.train_loss for e in before.epochs]
    assert {record.attempt for record in after.epochs} == {2}
    status = kbench("status", "small", "--json")
    redone = {one["run_id"]: one["redone"] for one in json.loads(status.stdout)["runs"]}
    assert [run_id for run_id, n in redone.items() if n] == [spec.run_id]
    assert "1 run was trained again" in status.stderr
