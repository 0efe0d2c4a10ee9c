"""Runs that wait for their turn: in their order, but nobody before the run that it follows."""

from collections.abc import Sequence

from kbench.records.folders import RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Failure, Job
from kbench.records.run_state import FailureKind, State


class Waiting:
    """A queue of runs, some of which follow another."""

    def __init__(self, runs: Sequence[RunDir]) -> None:
        self._runs = list(runs)
        self._leaders = {run.run_id: prerequisite_of(run) for run in runs}

    def __len__(self) -> int:
        return len(self._runs)

    def next(self, busy: Sequence[str]) -> RunDir | None:
        """Take the first run that may start; None while all wait for one that is ``busy`` or waits.

        A run whose leader ended badly, or was never asked for, is marked as failed and left out.
        """
        for run in list(self._runs):
            leader = self._leaders[run.run_id]
            state = state_of(leader.read()) if leader else State.DONE
            if leader is None or state is State.DONE:
                self._runs.remove(run)
                return run
            if state is State.RUNNING:  # elsewhere, if not here
                continue
            if leader.run_id not in busy and leader.run_id not in [one.run_id for one in self._runs]:
                self._runs.remove(run)
                _give_up(run, leader)
        return None


def prerequisite_of(run: RunDir) -> RunDir | None:
    """The folder of the run that this one follows, if it follows one."""
    leader = run.read_spec().leader
    return run.sibling(leader.run_id) if leader else None


def _give_up(run: RunDir, leader: RunDir) -> None:
    attempt = run.read_attempt() + 1
    run.begin(Job.of(attempt=attempt))
    why = f"it follows {leader.run_id}, which is {state_of(leader.read())}"
    run.fail(Failure.of(why, kind=FailureKind.PREREQUISITE_FAILED, attempt=attempt))
