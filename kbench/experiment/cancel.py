"""Jobs of a scheduler ended at somebody's wish: only those of the ledger."""

from kbench.experiment.ledger import submissions
from kbench.experiment.status import SCHEDULED, Outlook
from kbench.launch.words import last_words
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_state import State


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
        why = f"cancelled by kbench cancel (job {standing.job})"
        run.fail(last_words(run, why, kind="Cancelled", hint="kbench run --retry starts it again"))
    return [run for run, _ in alive]
