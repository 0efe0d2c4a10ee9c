"""Dependencies between runs: the queue of one machine starts no run before its prerequisite is done."""

from collections.abc import Sequence

from kbench.records.folders import RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Failure, Job
from kbench.records.run_state import FailureKind, State


class RunQueue:
    """The runs that one process is to start, in their order; some depend on another."""

    def __init__(self, runs: Sequence[RunDir]) -> None:
        self._runs = list(runs)
        self._prerequisites = {run.run_id: prerequisite_of(run) for run in runs}

    def __len__(self) -> int:
        return len(self._runs)

    def next(self, busy: Sequence[str]) -> RunDir | None:
        """Take out the first run that may start; None while each depends on one that is ``busy`` or in this queue.

        A run whose prerequisite failed, or was never requested, is marked as failed and left out.
        """
        for run in list(self._runs):
            prerequisite = self._prerequisites[run.run_id]
            state = state_of(prerequisite.read()) if prerequisite else State.DONE
            if prerequisite is None or state is State.DONE:
                self._runs.remove(run)
                return run
            if state is State.RUNNING:  # elsewhere, if not here
                continue
            if prerequisite.run_id not in busy and prerequisite.run_id not in [one.run_id for one in self._runs]:
                self._runs.remove(run)
                _fail(run, prerequisite)
        return None


def prerequisite_of(run: RunDir) -> RunDir | None:
    """The folder of the run that must be done before this one; None without one."""
    prerequisite = run.read_spec().prerequisite
    return run.sibling(prerequisite.run_id) if prerequisite else None


def _fail(run: RunDir, prerequisite: RunDir) -> None:
    attempt = run.read_attempt() + 1
    run.begin(Job.of(attempt=attempt))
    why = f"it follows {prerequisite.run_id}, which is {state_of(prerequisite.read())}"
    run.fail(Failure.of(why, kind=FailureKind.PREREQUISITE_FAILED, attempt=attempt))
