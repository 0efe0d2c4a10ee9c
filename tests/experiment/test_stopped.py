"""A run whose processes are stopped by a signal, stand still or give no sign of life: what its status says of it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kbench.config.run_spec import RunSpec
from kbench.experiment import ledger
from kbench.experiment.driver import cancel_runs
from kbench.experiment.status import WATCHDOG_S, StatusMonitor
from kbench.launch.schedulers.base import JobEnvironment, JobInfo, Stage
from kbench.launch.schedulers.slurm import Slurm
from kbench.launch.worker_job import begin
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import FIRST_S
from kbench.records.run_files import Job
from kbench.records.run_state import State


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentDir:
    """An experiment without runs."""
    return ExperimentDir(tmp_path / "small")


@pytest.fixture
def running(experiment: ExperimentDir, run_spec: RunSpec) -> Iterator[tuple[RunDir, "subprocess.Popen[bytes]"]]:
    """A run, and the process that stands for its job script; it lives until it is ended."""
    run = experiment.run(run_spec.run_id)
    run.prepare(run_spec)
    process = subprocess.Popen(["bash", "-c", "read", str(run.script)], stdin=subprocess.PIPE, start_new_session=True)
    run.begin(Job.of(attempt=1).updated(id=process.pid, launcher="local"))
    yield run, process
    process.kill()
    process.communicate()


def test_a_stopped_run_is_said_to_be_stopped_and_a_cancel_ends_it(
    experiment: ExperimentDir, running: tuple[RunDir, "subprocess.Popen[bytes]"]
) -> None:
    run, process = running
    assert StatusMonitor(experiment).status_of(run.read()).reason == ""
    os.killpg(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    status = StatusMonitor(experiment).status_of(run.read())
    assert status.state is State.RUNNING
    assert status.reason == (f"stopped by a signal: kill -CONT -- -{process.pid} lets it go on, kbench cancel ends it")
    assert status.reason in status.text
    assert [one.run_id for one in cancel_runs(experiment)] == [run.run_id]
    assert process.wait(timeout=60) == -signal.SIGTERM


@pytest.mark.parametrize(("pairing", "says"), [("none", True), ("turns", False)])
def test_a_run_without_a_step_for_longer_than_its_watchdog_allows_is_said_to_stand_still(
    experiment: ExperimentDir, running: tuple[RunDir, "subprocess.Popen[bytes]"], pairing: str, says: bool
) -> None:
    run, _ = running
    job = Job.read(run.path)
    assert job is not None
    job.updated(pairing=pairing).write(run.path)
    run.last_step.touch()
    now = run.last_step.stat().st_mtime
    os.utime(run.last_step, (now, now - FIRST_S))
    assert StatusMonitor(experiment).status_of(run.read()).reason == ""
    os.utime(run.last_step, (now, now - FIRST_S - 2 * WATCHDOG_S))
    assert ("its watchdog has not ended it" in StatusMonitor(experiment).status_of(run.read()).reason) is says


@pytest.mark.parametrize("ahead_s", [-7200.0, 7200.0])
def test_a_run_is_not_called_silent_where_the_clock_of_this_host_is_wrong(
    experiment: ExperimentDir, run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    run = experiment.run(run_spec.run_id)
    run.prepare(run_spec)
    ledger.note(experiment, "submit", "kb0", launcher="slurm", array=False, runs=[run.run_id])
    ledger.note(experiment, "submitted", "kb0", id="7")
    run.begin(Job.of(attempt=1, token="kb0").updated(launcher="slurm"))
    run.alive.touch()
    here = JobEnvironment(scheduler="slurm", id="7", nodes=("n1",))
    begin(run, here)
    monkeypatch.setattr(Slurm, "jobs", lambda self: {"7": JobInfo(Stage.RUNNING, "small.kb0")})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead_s)
    status = StatusMonitor(experiment).status_of(run.read())
    assert (status.state, status.reason) == (State.RUNNING, "")
    touched_at = run.alive.stat().st_mtime
    os.utime(run.alive, (touched_at, touched_at - 600))
    assert StatusMonitor(experiment).status_of(run.read()).reason == "no sign of life for 10 min"
