"""Jobs of a scheduler ended at somebody's wish: only those of the ledger."""

from kbench.experiment.ledger import submissions
from kbench.experiment.status import StatusMonitor
from kbench.launch.schedulers.registry import is_scheduler
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind, State


def cancel_queued(experiment: ExperimentDir) -> list[RunDir]:
    """End the jobs of all runs that wait or run; returns those runs.

    Raises LaunchError when a scheduler does not listen.
    """
    outlook, there = StatusMonitor(experiment), submissions(experiment)
    mine = [run for run in experiment.read() if run.job and is_scheduler(run.job.launcher)]
    found = [(run, outlook.status_of(run)) for run in mine]
    alive = [(run, one) for run, one in found if one.state in (State.WAITING, State.RUNNING) and one.job]
    ids: dict[str, dict[str, None]] = {}
    for run, status in alive:
        ids.setdefault(str(run.job and run.job.token), {})[str(status.job)] = None
    for token, jobs in ids.items():
        there[token].scheduler.cancel(list(jobs))
    for run, status in alive:
        why = f"cancelled by kbench cancel (job {status.job})"
        RunDir(run.path).fail(Failure.of(why, kind=FailureKind.CANCELLED, attempt=run.attempt))
    return [RunDir(run.path) for run, _ in alive]
