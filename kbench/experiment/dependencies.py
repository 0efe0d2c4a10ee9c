"""Runs that need another run to be done first: in which order they come, and which can never start."""

from collections.abc import Mapping, Sequence

from kbench.config.run_spec import RunSpec
from kbench.errors import ConfigError
from kbench.launch.dependencies import prerequisite_of
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_state import State


def check_prerequisites(runs: Sequence[RunSpec], folder: ExperimentDir) -> None:
    """Raise ConfigError unless every run that a run follows is requested as well, or done."""
    requested = {run.run_id for run in runs}
    lost = [
        f"{run.run_id} follows {run.prerequisite.run_id}, which is neither done nor asked for"
        for run in runs
        if run.prerequisite
        and run.prerequisite.run_id not in requested
        and not folder.run(run.prerequisite.run_id).is_done()
    ]
    if lost:
        raise ConfigError(lost, hint="ask for both, or run the other first")


def prerequisites_first(runs: list[RunDir]) -> None:
    """Let every run that follows another change places with it, if it stands before it."""
    for run in list(runs):
        prerequisite = prerequisite_of(run)
        ids = [one.run_id for one in runs]
        if prerequisite and prerequisite.run_id in ids and ids.index(prerequisite.run_id) > ids.index(run.run_id):
            first, second = ids.index(run.run_id), ids.index(prerequisite.run_id)
            runs[first], runs[second] = runs[second], runs[first]


def orphans(runs: Sequence[RunDir], states: Mapping[str, State]) -> list[tuple[RunDir, RunDir]]:
    """Those of ``runs`` whose prerequisite will not be done, with it: it is neither alive nor among them nor done.

    ``states`` are those of all runs of the experiment.
    """
    coming = {run.run_id for run in runs} | {
        run_id for run_id, state in states.items() if state in (State.DONE, State.WAITING, State.RUNNING)
    }
    lost: list[tuple[RunDir, RunDir]] = []
    for _ in runs:  # what follows an orphan is one as well
        more = [(run, first) for run in runs if (first := prerequisite_of(run)) and first.run_id not in coming]
        if more == lost:
            break
        lost, coming = more, coming - {run.run_id for run, _ in more}
    return lost
