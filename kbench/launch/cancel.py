"""Jobs of a scheduler ended at somebody's wish: only those of the ledger."""

from datetime import UTC, datetime

from kbench.launch.ledger import submissions
from kbench.launch.outlook import SCHEDULED, Outlook
from kbench.launch.state import State
from kbench.records.folders import ExperimentDir, RunDir


def cancel_queued(experiment: ExperimentDir) -> list[RunDir]:
    """End the jobs of all runs that wait or run; returns those runs.

    Raises LaunchError when a scheduler does not listen.
    """
    outlook, there = Outlook(experiment), submissions(experiment)
    mine = [run for run in experiment.all_runs() if run.job.get("launcher") in SCHEDULED]
    found = [(run, outlook.standing(run)) for run in mine]
    alive = [(run, one) for run, one in found if one.state in (State.WAITING, State.RUNNING) and one.job]
    ids: dict[str, dict[str, None]] = {}
    for run, standing in alive:
        ids.setdefault(str(run.job["token"]), {})[str(standing.job)] = None
    for token, jobs in ids.items():
        there[token].scheduler.cancel(list(jobs))
    for run, standing in alive:
        run.fail(
            {
                "error": f"cancelled by kbench cancel (job {standing.job})",
                "hint": "kbench run --retry starts it again",
                "kind": "Cancelled",
                "exit_code": 5,
                "attempt": run.attempt or 1,
                "ended_at": datetime.now(UTC).isoformat(),
            }
        )
    return [run for run, _ in alive]
