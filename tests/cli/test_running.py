"""Running for real: what is missing is started, what is stopped stops, what failed is told."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from kbench.records.folders import ExperimentDir
from kbench.records.liveness import state_of
from kbench.records.run_state import State

ONE_THREAD = ["--set", "threads_per_rank=1"]


def started(log: str) -> list[str]:
    return [line for line in log.splitlines() if "runs to start" in line]


def test_running_again_starts_nothing(folder: Path, kbench) -> None:
    journals = {path: path.read_bytes() for path in folder.rglob("epochs.jsonl")}
    again = kbench("run", "small.yaml", cwd=folder)
    assert (again.returncode, started(again.stderr)) == (0, [])
    assert len(again.stdout.splitlines()) == 6
    assert {path: path.read_bytes() for path in folder.rglob("epochs.jsonl")} == journals


def test_only_what_is_missing_is_started(folder: Path, kbench) -> None:
    small = ExperimentDir(folder / "results" / "small")
    gone, *kept = small.all_runs()
    attempts = [run.read().job for run in kept]
    shutil.rmtree(gone.path)
    again = kbench("run", "small.yaml", *ONE_THREAD, cwd=folder)
    assert (again.returncode, started(again.stderr)) == (0, ["1 of 6 runs to start, with local"])
    assert state_of(gone.read()) is State.DONE
    assert [run.read().job for run in kept] == attempts


@pytest.fixture(scope="module")
def call(clean_env: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line for fixtures of this module: ``call(folder, "run", ...)``."""

    def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kbench", *words]
        return subprocess.run(command, cwd=folder, env=clean_env, capture_output=True, text=True, timeout=300)

    return run


class Failed(NamedTuple):
    folder: ExperimentDir
    first: subprocess.CompletedProcess[str]
    left_alone: subprocess.CompletedProcess[str]
    retried: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory, call, lasting) -> Failed:
    """A run whose learning rate blows it up, run three times: at first, again, and with --retry."""
    folder = tmp_path_factory.mktemp("failed")
    (folder / "bad.yaml").write_text(lasting("bad", 3).replace("lr: 0.05", "lr: 1.0e+30"))
    words = ["run", "bad.yaml", "--only", "s0", *ONE_THREAD]
    done = [call(folder, *words), call(folder, *words), call(folder, *words, "--retry")]
    return Failed(ExperimentDir(folder / "results" / "bad"), *done)


def test_a_failed_run_is_told_with_its_cause_and_exit_code_5(failed: Failed) -> None:
    assert failed.first.returncode == 5
    assert "error: 1 of 1 runs failed; digits-cnn-digits.baseline.s0." in failed.first.stderr
    assert "finite" in failed.first.stderr
    assert "Traceback" not in failed.first.stderr


def test_a_failed_run_is_left_alone(failed: Failed) -> None:
    assert (failed.left_alone.returncode, started(failed.left_alone.stderr)) == (5, [])


def test_a_failed_run_starts_again_when_told_to(failed: Failed) -> None:
    assert started(failed.retried.stderr) == ["1 of 1 runs to start, with local"]
    row = pd.read_parquet(failed.folder.runs).iloc[0]
    assert (row.state, row.attempts) == ("failed", 2)


class Interrupted(NamedTuple):
    folder: Path
    experiment: ExperimentDir
    code: int
    err: str
    survivors: list[int]
    states: list[str]
    gathered: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def interrupted(
    tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str], call, lasting, until, processes_of
) -> Interrupted:
    """An experiment that got a Ctrl-C after the first epoch of its first run."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "long.yaml").write_text(lasting("long", 25))
    experiment = ExperimentDir(folder / "results" / "long")
    front = subprocess.Popen(
        [sys.executable, "-m", "kbench", "run", "long.yaml", *ONE_THREAD],
        **{"cwd": folder, "env": clean_env, "text": True, "start_new_session": True},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
    )
    until(lambda: any(run.epochs() for run in experiment.all_runs()) or front.poll() is not None)
    os.killpg(front.pid, signal.SIGINT)
    _, err = front.communicate(timeout=120)
    survivors = processes_of(folder)
    states = sorted(state_of(run.read()) for run in experiment.all_runs())
    return Interrupted(folder, experiment, front.returncode, err, survivors, states, call(folder, "gather", "long"))


def test_ctrl_c_says_what_is_left_and_exits_with_130(interrupted: Interrupted) -> None:
    assert interrupted.code == 130
    assert "interrupted; 2 of 2 runs are left, kbench run starts them" in interrupted.err
    assert "Traceback" not in interrupted.err


def test_ctrl_c_leaves_no_process_behind(interrupted: Interrupted) -> None:
    assert interrupted.survivors == []


def test_ctrl_c_leaves_the_folder_free_for_the_next(interrupted: Interrupted) -> None:
    assert interrupted.states == ["interrupted", "missing"]
    assert not interrupted.experiment.driver.exists()


def test_ctrl_c_leaves_the_store_readable(interrupted: Interrupted) -> None:
    assert interrupted.gathered.returncode == 0
    assert "2 runs" in interrupted.gathered.stdout


def test_running_again_completes_what_was_interrupted(interrupted: Interrupted, call) -> None:
    again = call(interrupted.folder, "run", "long.yaml", *ONE_THREAD, "--only", "s0", "--only", "s1", "--json")
    assert again.returncode == 0, again.stderr
    assert [(run["state"], run["epochs_done"]) for run in json.loads(again.stdout)["runs"]] == [("done", 25)] * 2
    epochs = pd.read_parquet(interrupted.experiment.epochs)
    assert not epochs.duplicated(["run_id", "phase", "epoch"]).any()
    assert sorted(pd.read_parquet(interrupted.experiment.runs).attempts) == [1, 2]


class Detached(NamedTuple):
    experiment: ExperimentDir
    start: subprocess.CompletedProcess[str]
    second: subprocess.CompletedProcess[str]
    status: subprocess.CompletedProcess[str]
    logs: subprocess.CompletedProcess[str]
    cancel: subprocess.CompletedProcess[str]
    survivors: list[int]


@pytest.fixture(scope="module")
def detached(tmp_path_factory: pytest.TempPathFactory, call, lasting, until, processes_of) -> Detached:
    """A long experiment started with --no-wait, looked at, and cancelled."""
    folder = tmp_path_factory.mktemp("detached")
    (folder / "far.yaml").write_text(lasting("far", 100_000))
    experiment = ExperimentDir(folder / "results" / "far")
    words = ["run", "far.yaml", *ONE_THREAD]
    start = call(folder, *words, "--no-wait", "--json")
    try:
        until(lambda: any(run.epochs() for run in experiment.all_runs()))
        living = next(run.run_id for run in experiment.all_runs() if run.epochs())
        looked = [
            call(folder, *words, "--set", "seeds=[0, 1, 2]"),
            call(folder, "status", "far", "--json"),
            call(folder, "logs", living),
        ]
    finally:
        cancel = call(folder, "cancel", "far")
        until(lambda: not processes_of(folder))
    return Detached(experiment, start, *looked, cancel, processes_of(folder))


def test_without_waiting_the_front_says_who_goes_on(detached: Detached) -> None:
    told = json.loads(detached.start.stdout)
    assert (detached.start.returncode, told["schema"], told["experiment"]) == (0, 1, "far")
    assert Path(told["log"]).name == "front.log"


def test_a_second_run_of_an_experiment_at_work_is_refused(detached: Detached) -> None:
    assert (detached.second.returncode, detached.second.stdout) == (3, "")
    assert "results/far: kbench run is at work here already (process " in detached.second.stderr


def test_a_run_that_was_refused_has_changed_nothing(detached: Detached) -> None:
    assert "seeds: [0, 1]\n" in detached.experiment.source.read_text()
    assert len(list(detached.experiment.all_runs())) == 2


def test_status_tells_who_runs_and_who_waits(detached: Detached) -> None:
    assert sorted(run["state"] for run in json.loads(detached.status.stdout)["runs"]) == ["running", "waiting"]


def test_logs_show_a_run_that_is_not_over(detached: Detached) -> None:
    assert detached.logs.returncode == 0
    assert detached.logs.stdout.startswith("train   1  top-1 ")


def test_cancel_ends_the_run_and_what_would_start_more(detached: Detached) -> None:
    assert detached.cancel.returncode == 0
    assert detached.cancel.stdout.endswith("  cancelled\n")
    assert detached.survivors == []
    assert sorted(state_of(run.read()) for run in detached.experiment.all_runs()) == ["interrupted", "missing"]
