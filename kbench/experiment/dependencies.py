"""Which runs depend on another one, and when they may start."""

from collections.abc import Mapping, Sequence

from kbench.config.run_spec import RunSpec
from kbench.errors import ConfigError
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Failure, Job
from kbench.records.run_state import FailureKind, State


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


def orphans(runs: Sequence[RunDir], states: Mapping[str, State]) -> list[tuple[RunDir, RunDir]]:
    """List those of ``runs`` whose prerequisite is neither done nor alive nor among them, each with it.

    ``states`` are those of all runs of the experiment.
    """
    coming = {run.run_id for run in runs} | {
        run_id for run_id, state in states.items() if state in (State.DONE, State.WAITING, State.RUNNING)
    }
    lost: list[tuple[RunDir, RunDir]] = []
    for _ in runs:  # what follows an orphan is one as well
        more = [(run, first) for run in runs if (first := run.read_prerequisite()) and first.run_id not in coming]
        if more == lost:
            break
        lost, coming = more, coming - {run.run_id for run, _ in more}
    return lost


class RunQueue:
    """The runs that one process is to start, in their order; some depend on another."""

    def __init__(self, runs: Sequence[RunDir]) -> None:
        self._runs = list(runs)
        self._prerequisites = {run.run_id: run.read_prerequisite() for run in runs}

    def __len__(self) -> int:
        return len(self._runs)

    def next_runs(self, busy: Sequence[str], *, in_turns: bool) -> list[RunDir]:
        """Take out what may start together: one run or, where they take turns, those of its pair and seed that may."""
        first = self.next(busy)
        if first is None or not in_turns:
            return [first] if first else []
        block = [run for run in self._runs if run.read_spec().match_key == first.read_spec().match_key]
        others = [run for run in block if (needed := self._prerequisites[run.run_id]) is None or needed.is_done()]
        self._runs = [run for run in self._runs if run not in others]
        return [first, *others]

    def put_back(self, runs: Sequence[RunDir]) -> None:
        """Queue runs again, before all others."""
        self._runs[:0] = runs

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


def _fail(run: RunDir, prerequisite: RunDir) -> None:
    attempt = run.read_attempt() + 1
    run.begin(Job.of(attempt=attempt))
    why = f"it follows {prerequisite.run_id}, which is {state_of(prerequisite.read())}"
    run.fail(Failure.of(why, kind=FailureKind.PREREQUISITE_FAILED, attempt=attempt))
