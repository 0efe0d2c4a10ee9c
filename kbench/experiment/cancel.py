"""Jobs of a scheduler ended at somebody's wish: only those of the ledger."""

from kbench.experiment.ledger import submissions
from kbench.experiment.status import StatusMonitor
from kbench.launch.schedulers.registry import is_scheduler
from kbench.launch.words import failure_record
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_state import State


def cancel_queued(experiment: ExperimentDir) -> list[RunDir]:
    """End the jobs of all runs that wait or run; returns those runs.

    Raises LaunchError when a scheduler does not listen.
    """
    outlook, there = StatusMonitor(experiment), submissions(experiment)
    mine = [run for run in experiment.all_runs() if is_scheduler(run.job.get("launcher"))]
    found = [(run, outlook.status_of(run)) for run in mine]
    alive = [(run, one) for run, one in found if one.state in (State.WAITING, State.RUNNING) and one.job]
    ids: dict[str, dict[str, None]] = {}
    for run, status in alive:
        ids.setdefault(str(run.job["token"]), {})[str(status.job)] = None
    for token, jobs in ids.items():
        there[token].scheduler.cancel(list(jobs))
    for run, status in alive:
        why = f"cancelled by kbench cancel (job {status.job})"
        run.fail(failure_record(run, why, kind="Cancelled", hint="kbench run --retry starts it again"))
    return [run for run, _ in alive]
