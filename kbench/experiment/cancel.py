"""End the runs of an experiment: the process that starts them, those of this machine, and jobs of a scheduler."""

import os
import signal
import socket
from contextlib import suppress

from kbench.errors import LaunchError
from kbench.experiment.ledger import submissions
from kbench.experiment.lock import driver_of
from kbench.experiment.status import StatusMonitor
from kbench.launch.schedulers.registry import is_scheduler
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind, State
from kbench.records.snapshot import RunSnapshot


def cancel_runs(experiment: ExperimentDir) -> list[RunDir]:
    """End the runs that are alive or queued, and what would start more; returns those runs.

    Raises LaunchError when they run on another host, or a scheduler does not listen.
    """
    alive = _alive_here(experiment)
    driver = driver_of(experiment)
    if driver:
        _terminate(int(driver["id"]), driver["host"], experiment)
    for run in _alive_here(experiment):
        if run.job and run.job.id:
            _terminate(run.job.id, run.job.host, experiment, group=True)
        alive.append(run)
    ids = dict.fromkeys(run.run_id for run in [*alive, *_cancel_jobs(experiment)])
    return [experiment.run(run_id) for run_id in ids]


def _alive_here(experiment: ExperimentDir) -> list[RunSnapshot]:
    """The runs that are processes of this machine, and alive."""
    runs = [run for run in experiment.read() if not run.job or not is_scheduler(run.job.launcher)]
    return [run for run in runs if state_of(run) is State.RUNNING]


def _terminate(process: int, host: str, experiment: ExperimentDir, *, group: bool = False) -> None:
    if host != socket.gethostname():
        raise LaunchError(f"{experiment.path}: process {process} runs on {host}", hint=f"run kbench cancel on {host}")
    with suppress(ProcessLookupError):  # it ended by itself in the meantime
        (os.killpg if group else os.kill)(process, signal.SIGTERM)


def _cancel_jobs(experiment: ExperimentDir) -> list[RunSnapshot]:
    """End the jobs of all runs that wait or run at a scheduler, only those of the ledger; returns those runs."""
    monitor, submitted = StatusMonitor(experiment), submissions(experiment)
    runs = [run for run in experiment.read() if run.job and is_scheduler(run.job.launcher)]
    statuses = [status for status in map(monitor.status_of, runs) if status.state.is_live and status.job_id]
    ids: dict[str, dict[str, None]] = {}
    for status in statuses:
        job = status.run.job
        ids.setdefault(str(job and job.token), {})[str(status.job_id)] = None
    for token, jobs in ids.items():
        submitted[token].scheduler.cancel(list(jobs))
    for status in statuses:
        error = f"cancelled by kbench cancel (job {status.job_id})"
        failure = Failure.of(error, kind=FailureKind.CANCELLED, attempt=status.attempt)
        RunDir(status.folder).fail(failure)
    return [status.run for status in statuses]
