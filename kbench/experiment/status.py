"""Where all runs of an experiment stand, with one question to the scheduler."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from kbench.errors import LaunchError
from kbench.experiment.driver import driver_of, queued_by
from kbench.experiment.ledger import Submission, submissions
from kbench.launch.dependencies import prerequisite_of
from kbench.launch.failure import lost_node
from kbench.launch.schedulers.base import JobInfo, Scheduler, Stage
from kbench.launch.schedulers.registry import is_scheduler
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Failure, Job
from kbench.records.run_state import FailureKind, State
from kbench.records.snapshot import RunSnapshot

SILENT_S = 300.0
REST_S = 20.0  # between two questions of one process to a scheduler, which has others to serve


class RunStatus(NamedTuple):
    """Where a run stands, and what explains it."""

    state: State
    why: str = ""  # what it waits for, or how it ended
    starts_at: str = ""  # when a waiting one is expected to start
    job: str | None = None  # the scheduler's id


class StatusMonitor:
    """Where the runs of an experiment stand at one moment.

    ``alone`` says that this process holds the experiment, and has not begun to start runs.
    """

    def __init__(self, experiment: ExperimentDir, *, alone: bool = False) -> None:
        self._experiment, self._alone = experiment, alone
        self._seen: dict[str, dict[str, JobInfo] | None] = {}  # by scheduler; None where it does not answer
        self._asked = 0.0  # when, on the monotonic clock [s]
        self.deaf = ""  # why a scheduler did not answer
        self.refresh()

    def refresh(self) -> None:
        """Look at the ledger again, and ask the scheduler again when it has had its rest."""
        self._submissions = submissions(self._experiment)
        self._front = {} if self._alone else driver_of(self._experiment)
        self._queued = queued_by(self._experiment) if self._front else frozenset()
        if time.monotonic() - self._asked > REST_S:
            self._seen, self._asked = {}, time.monotonic()

    def state_of(self, run: RunSnapshot) -> State:
        """Where a run stands."""
        return self.status_of(run).state

    def states(self, runs: Sequence[RunDir]) -> list[State]:
        """Where runs stand."""
        return [self.state_of(run.read()) for run in runs]

    def status_of(self, run: RunSnapshot) -> RunStatus:
        """Where a run stands, and why."""
        status = self._status_of(run)
        is_live = status.state in (State.WAITING, State.RUNNING)
        return status._replace(state=State.DAMAGED, why=run.trouble) if run.trouble and not is_live else status

    def _status_of(self, run: RunSnapshot) -> RunStatus:
        if run.done:
            return RunStatus(State.DONE)
        if run.job and is_scheduler(run.job.launcher):
            return self._scheduled(run, run.job)
        state = state_of(run)
        if state in (State.MISSING, State.INTERRUPTED) and run.run_id in self._queued:
            return RunStatus(State.WAITING)
        return RunStatus(state, run.failure.error if run.failure else "")

    def _scheduled(self, run: RunSnapshot, job: Job) -> RunStatus:
        submission, failure = self._submissions.get(str(job.token)), run.failure
        if submission is None or submission.over:
            return RunStatus(failure.kind.state, failure.error) if failure else RunStatus(State.MISSING)
        seen = self._jobs(submission)
        job_id = submission.job(job.task, self._id_by_name(submission, seen))
        why = failure.error if failure else ""
        if seen is None:
            state = failure.kind.state if failure else State.RUNNING if run.has_started else State.WAITING
            return RunStatus(state, why or (_silence(run) if run.has_started else ""), job=job_id)
        found = seen.get(job_id or "")
        if found is None or found.stage is Stage.OVER:
            return self._gone(run, submission, job_id, found)
        requeued = found.stage is Stage.WAITING and submission.scheduler.can.job_states
        is_ended = failure is not None and failure.kind is FailureKind.ENDED
        if failure and not (requeued and is_ended) and failure.kind.state is not State.INTERRUPTED:
            return RunStatus(failure.kind.state, why, job=job_id)
        if run.has_started and not failure and not requeued:
            return RunStatus(State.RUNNING, _silence(run), job=job_id)
        return RunStatus(State.WAITING, why or found.reason, found.starts_at, job_id)

    def _gone(self, run: RunSnapshot, submission: Submission, job_id: str | None, found: JobInfo | None) -> RunStatus:
        """A run whose job is no longer in the queue."""
        ended, failure, folder = found.reason if found else "", run.failure, RunDir(run.path)
        kinds = submission.scheduler.end_kinds
        if failure and not (failure.kind is FailureKind.ENDED and ended in kinds):
            return RunStatus(failure.kind.state, failure.error, job=job_id)
        if submission.id is None and found is None and not run.has_started:
            alive = bool(self._front)  # it may be about to be taken
            return RunStatus(State.WAITING if alive else State.MISSING)
        ended = ended or _accounted(submission, job_id)
        leader = prerequisite_of(folder)
        if leader and not run.has_started and not leader.is_done():
            why, kind = f"it follows {leader.run_id}, which is not done", FailureKind.PREREQUISITE_MISSING
        elif ended in kinds:
            why, kind = f"its job {job_id} ended as {ended}", kinds[ended]
        elif run.has_started:
            why, kind = f"its job {job_id} ended without a word", FailureKind.VANISHED
        else:
            why, kind = f"its job {job_id} left the queue before it started", FailureKind.VANISHED
        if folder.is_done():  # in this very moment
            return RunStatus(State.DONE, job=job_id)
        node = lost_node(folder) if kind is FailureKind.NODE_FAILURE else None
        folder.correct(Failure.of(why, kind=kind, attempt=run.attempt, node=node))
        return RunStatus(kind.state, why, job=job_id)

    def _jobs(self, submission: Submission) -> dict[str, JobInfo] | None:
        key = f"{submission.launcher} {submission.queue}"
        if key not in self._seen:
            try:
                self._seen[key] = submission.scheduler.jobs()
            except LaunchError as error:
                self._seen[key], self.deaf = None, error.message
        return self._seen[key]

    def _id_by_name(self, submission: Submission, seen: dict[str, JobInfo] | None) -> str | None:
        """The id of a submission whose front did not live to note it."""
        if submission.id or not seen:
            return None
        return job_named(submission.token, seen, submission.scheduler)


def _silence(run: RunSnapshot) -> str:
    """For how long a run that is said to run has given no sign of life; empty where that is nothing to speak of."""
    try:
        quiet_s = time.time() - RunDir(run.path).alive.stat().st_mtime
    except OSError:
        return ""
    return f"no sign of life for {quiet_s / 60:.0f} min" if quiet_s > SILENT_S else ""


def job_named(token: str, seen: dict[str, JobInfo], scheduler: Scheduler) -> str | None:
    """The id, without an array's task, of the job whose name has a token in it."""
    named = (job for job, one in seen.items() if token in one.name and one.stage is not Stage.OVER)
    return next((scheduler.array_id(job) for job in named), None)


def _accounted(submission: Submission, job_id: str | None) -> str:
    """How a job ended, from the accounting, where there is one."""
    if job_id is None or not submission.scheduler.can.accounting:
        return ""
    return submission.scheduler.ended([job_id]).get(job_id, "")
