"""Read where the runs of an experiment stand, from their folders and one question to the scheduler."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kbench import files
from kbench.errors import LaunchError
from kbench.experiment.ledger import Submission, driver_of, last_order, submissions
from kbench.launch.failure import lost_node
from kbench.launch.schedulers.base import JobInfo, Stage, understood
from kbench.launch.schedulers.registry import is_scheduler
from kbench.records.disturbance import Disturbed, MeasuredRun, find_disturbed, measured_run
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import quiet_limit_s, state_of, stopped_group
from kbench.records.run_files import Failure, Job
from kbench.records.run_state import FailureKind, State
from kbench.records.schema import metric_name
from kbench.records.snapshot import RunSnapshot

SILENT_S = 300.0
WATCHDOG_S = 120.0  # beyond its limit, after which a watchdog that could end the run has done so
REST_S = 20.0  # between two questions of one process to a scheduler, which has others to serve
REDRAW_S = 1.0  # between two looks at the runs that somebody follows


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands, what explains it, and how far it has come."""

    run: RunSnapshot  # what the files of its folder said
    state: State
    reason: str = ""  # what it waits for, or how it ended
    starts_at: str = ""  # when a waiting one is expected to start, in the scheduler's words and time zone
    job_id: str | None = None  # the scheduler's
    scheduler_error: str = ""  # why the scheduler could not be asked; the state is then as the run wrote it
    since_step_s: float | None = None  # of a run that trains: since its last batch [s], but for some seconds
    disturbed: Disturbed | None = None  # what shows that it was disturbed; None: nothing does, or nobody looked

    @property
    def run_id(self) -> str:
        """The name of the run and of its folder."""
        return self.run.run_id

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.run.path

    @property
    def attempt(self) -> int:
        """How often the run was started; 0 before any."""
        return self.run.attempt

    @property
    def epochs_done(self) -> int:
        """How many epochs have been trained."""
        return len(self.run.epochs)

    @property
    def epochs(self) -> int | None:
        """How many epochs the run takes over all its phases; None before it has begun."""
        return self.run.n_epochs

    @property
    def final_acc1(self) -> float | None:
        """The accuracy after the last epoch so far [fraction]; None before the first."""
        return self.run.last.val_acc1 if self.run.last else None

    @property
    def elapsed_s(self) -> float | None:
        """Training time so far [s]; None before the first epoch has ended."""
        return self.run.last.elapsed_s if self.run.last else None

    @property
    def left_s(self) -> float | None:
        """How long the epochs that are left will take [s]; None where it does not run, or that cannot be known."""
        if self.state is not State.RUNNING or self.elapsed_s is None or self.epochs is None:
            return None
        return self.elapsed_s / self.epochs_done * (self.epochs - self.epochs_done)

    @property
    def error(self) -> str | None:
        """How the latest attempt failed; None where it did not."""
        return self.run.failure.error if self.run.failure else None

    def as_json(self) -> dict[str, Any]:
        """The object that ``kbench status --json`` prints for a run."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            "why": self.reason or None,
            "job_id": self.job_id,
            "starts_at": self.starts_at or None,
            "attempt": self.attempt,
            "redone": self.run.n_redone,
            "disturbed": self.disturbed.text if self.disturbed else None,
            "epochs_done": self.epochs_done,
            "epochs": self.epochs,
            "final_acc1": self.final_acc1,
            "elapsed_s": self.elapsed_s,
            "left_s": self.left_s,
            "since_step_s": self.since_step_s,
            "error": self.error,
            "folder": str(self.folder),
        }

    @property
    def text(self) -> str:
        """The line that ``kbench status`` prints for a run."""
        parts = [self.run_id, str(self.state)]
        if self.run.last:
            parts.append(f"epoch {self.epochs_done}/{self.epochs or '?'}")
            parts.append(f"{metric_name(self.run.provenance.metric)} {100 * self.run.last.val_acc1:.2f} %")
            parts.append(f"{self.run.last.elapsed_s:.2f} s")
        if self.left_s is not None:
            parts.append(f"about {self.left_s:.0f} s of training left")
        if self.since_step_s is not None:
            parts.append(f"last step {self.since_step_s:.0f} s ago")
        parts += ["redone"] * bool(self.run.n_redone)
        if self.disturbed:
            parts.append(f"disturbed: {', '.join(self.disturbed.evidence)}")
        if self.state is not State.DONE:
            parts += [self.reason] * bool(self.reason)
        if self.state is State.WAITING:
            parts += [f"job {self.job_id}"] * bool(self.job_id)
            parts += [f"expected to start {self.starts_at}"] * bool(self.starts_at)
        return "  ".join(parts)


class StatusMonitor:
    """Where the runs of an experiment stand at one moment.

    ``holds_lock`` says that this process holds the experiment, and has not begun to start runs.
    """

    def __init__(self, experiment: ExperimentDir, *, holds_lock: bool = False) -> None:
        self._experiment, self._holds_lock = experiment, holds_lock
        self._jobs: dict[str, dict[str, JobInfo] | None] = {}  # by scheduler; None where it does not answer
        self._looked_up: dict[str, dict[str, JobInfo]] = {}  # what was asked for once more, by submission or scheduler
        self._clock_offset_s: float | None = None  # of the file system's clock against this host's; None: not measured
        self._no_room: str | None = None  # why nothing can be written into the folder; None: not tried
        self._jobs_read_at = 0.0  # on the monotonic clock [s]
        self._measured: dict[tuple[str, int], MeasuredRun | None] = {}  # of runs that are done, by id and attempt
        self.scheduler_error = ""  # why a scheduler did not answer
        self.refresh()

    def refresh(self) -> None:
        """Read the ledger again, and ask the scheduler again when it has had its rest."""
        self._submissions = submissions(self._experiment)
        self._no_room = None
        self._driver = None if self._holds_lock else driver_of(self._experiment)
        self._order = last_order(self._experiment) if self._driver else frozenset()
        if time.monotonic() - self._jobs_read_at > REST_S:
            self._jobs, self._jobs_read_at = {}, time.monotonic()

    def state_of(self, run: RunSnapshot) -> State:
        """Where a run stands."""
        return self.status_of(run).state

    def is_queued(self, run: RunSnapshot) -> bool:
        """Whether the list of its scheduler shows a run's job as one that has not ended."""
        submission = self._submissions.get(str(run.job.token)) if run.job else None
        if run.job is None or submission is None or submission.over:
            return False
        info = self._find(submission, run.job.task, self._jobs_of(submission) or {})[1]
        return info is not None and info.stage is not Stage.OVER

    def statuses(self, runs: Iterable[RunDir]) -> tuple[RunStatus, ...]:
        """Read where runs stand, and why."""
        return tuple(self.status_of(run.read()) for run in runs)

    def mark_disturbed(self, found: Sequence[RunStatus]) -> tuple[RunStatus, ...]:
        """The same, with what shows of each that it was disturbed; they are held against one another."""
        measured = []
        for one in found:
            key = one.run_id, one.attempt
            own = self._measured[key] if key in self._measured else measured_run(one.run)
            if one.state is State.DONE:
                self._measured[key] = own
            measured.append(own)
        disturbed = find_disturbed(run for run in measured if run)
        return tuple(replace(one, disturbed=disturbed.get(one.run_id)) for one in found)

    def status_of(self, run: RunSnapshot) -> RunStatus:
        """Where a run stands, and why."""
        status = self._status_of(run)
        if status.state is State.RUNNING:
            since_s = self._age_s(RunDir(run.path).last_step)
            status = replace(status, since_step_s=since_s, reason=status.reason or _stands_still(run, since_s))
        if run.trouble and not status.state.is_live:
            return replace(status, state=State.DAMAGED, reason=run.trouble)
        return status

    def _status_of(self, run: RunSnapshot) -> RunStatus:
        if run.done:
            return RunStatus(run, State.DONE)
        if run.job and is_scheduler(run.job.launcher):
            return self._submitted(run, run.job)
        state = state_of(run)
        if state in (State.MISSING, State.INTERRUPTED) and run.run_id in self._order:
            return RunStatus(run, State.WAITING)
        reason = run.failure.error if run.failure else self._cannot_write() if state is State.INTERRUPTED else ""
        return RunStatus(run, state, reason)

    def _cannot_write(self) -> str:
        """Why a run may have ended without its record: no room is left; empty where there is some."""
        if self._no_room is None:
            self._no_room = files.lacks_room(self._experiment.path)
        if not self._no_room:
            return ""
        return f"ended, and could not write why: {self._experiment.path}: {self._no_room}"

    def _age_s(self, file: Path) -> float | None:
        """Seconds since a file was touched, on the clock of the file system: that of another host may be wrong."""
        try:
            touched_at = file.stat().st_mtime
        except OSError:  # not yet
            return None
        if self._clock_offset_s is None:
            self._clock_offset_s = files.clock_offset_s(self._experiment.path)
        return max(0.0, time.time() + self._clock_offset_s - touched_at)

    def _silence(self, run: RunSnapshot) -> str:
        """For how long a run that is said to run has given no sign of life; empty where that is nothing to speak of."""
        quiet_s = self._age_s(RunDir(run.path).alive)
        return f"no sign of life for {quiet_s / 60:.0f} min" if quiet_s is not None and quiet_s > SILENT_S else ""

    def _submitted(self, run: RunSnapshot, job: Job) -> RunStatus:
        """A run that was submitted to a scheduler."""
        submission, failure = self._submissions.get(str(job.token)), run.failure
        if submission is None or submission.over:
            return RunStatus(run, failure.kind.state, failure.error) if failure else RunStatus(run, State.MISSING)
        jobs = self._jobs_of(submission)
        job_id, error = submission.job(job.task), self.scheduler_error
        try:
            job_id, found = self._find(submission, job.task, jobs or {})
            if found is None and jobs is not None and job_id and (failure is None or failure.kind.may_be_requeued):
                found = self._look_up(submission, job_id)
        except LaunchError as problem:
            jobs, found, error = None, None, problem.message
            self.scheduler_error = error
        reason = failure.error if failure else ""
        if jobs is None:
            state = failure.kind.state if failure else State.RUNNING if run.has_started else State.WAITING
            reason = reason or (self._silence(run) if run.has_started else "")
            return RunStatus(run, state, reason, job_id=job_id, scheduler_error=error)
        if found is None or found.stage is Stage.OVER:
            return self._left_the_queue(run, submission, job_id, found)
        requeued = found.stage is Stage.WAITING and submission.scheduler.can.job_states
        is_ended = failure is not None and failure.kind is FailureKind.ENDED
        if failure and not (requeued and is_ended) and failure.kind.state is not State.INTERRUPTED:
            return RunStatus(run, failure.kind.state, reason, job_id=job_id)
        if run.has_started and not failure and not requeued:
            return RunStatus(run, State.RUNNING, self._silence(run), job_id=job_id)
        return RunStatus(run, State.WAITING, reason or found.reason, found.starts_at, job_id)

    def _left_the_queue(
        self, run: RunSnapshot, submission: Submission, job_id: str | None, found: JobInfo | None
    ) -> RunStatus:
        """A run whose job is no longer in the queue; how it ended goes on record, where the run could not say it."""
        failure, folder, kinds = run.failure, RunDir(run.path), submission.scheduler.end_kinds
        ended = found.reason if found else ""
        if failure and not (failure.kind is FailureKind.ENDED and ended in kinds):
            return RunStatus(run, failure.kind.state, failure.error, job_id=job_id)
        if submission.id is None and found is None and not run.has_started:  # it may be about to be taken
            return RunStatus(run, State.WAITING if self._driver else State.MISSING)
        ended = ended or _ended_by_accounting(submission, job_id)
        prerequisite = folder.read_prerequisite()
        if prerequisite and not run.has_started and not prerequisite.is_done():
            why, kind = f"it follows {prerequisite.run_id}, which is not done", FailureKind.PREREQUISITE_MISSING
        elif ended in kinds:
            why, kind = f"its job {job_id} ended as {ended}", kinds[ended]
        elif run.has_started:
            why, kind = f"its job {job_id} ended without a word", FailureKind.VANISHED
        else:
            why, kind = f"its job {job_id} left the queue before it started", FailureKind.VANISHED
        if folder.is_done():  # in this very moment
            return RunStatus(folder.read(), State.DONE, job_id=job_id)
        node = lost_node(folder) if kind is FailureKind.NODE_FAILURE else None
        if kind is FailureKind.VANISHED and (no_room := self._cannot_write()):
            why = f"its job {job_id} {no_room}"
        failure = Failure.of(why, kind=kind, attempt=run.attempt, node=node)
        folder.correct(failure)
        return RunStatus(replace(run, failure=failure), kind.state, why, job_id=job_id)

    def _jobs_of(self, submission: Submission) -> dict[str, JobInfo] | None:
        key = f"{submission.launcher} {submission.queue}"
        if key not in self._jobs:
            self._looked_up = {}
            scheduler = submission.scheduler
            try:
                with understood(scheduler):
                    self._jobs[key] = scheduler.jobs()
            except LaunchError as error:
                self._jobs[key], self.scheduler_error = None, error.message
        return self._jobs[key]

    def _find(
        self, submission: Submission, task: int, jobs: Mapping[str, JobInfo]
    ) -> tuple[str | None, JobInfo | None]:
        """The job that does a task, as a list shows it: a number alone proves nothing, they come back.

        Raises LaunchError where the list tells no names.
        """
        noted = submission.job(task) or ""
        if noted in jobs and not jobs[noted].name:
            raise LaunchError(
                f"job {noted} is listed without its name, and may be another's of the same number; "
                "queue.list in the site file must show names"
            )
        if noted in jobs and submission.token in jobs[noted].name:
            return noted, jobs[noted]
        by_name = replace(submission, id=submission.scheduler.id_by_token(submission.token, jobs)).job(task)
        return (by_name, jobs[by_name]) if by_name and by_name in jobs else (noted or None, None)

    def _look_up(self, submission: Submission, job_id: str) -> JobInfo | None:
        """Ask again for a job that the list did not show: lists are filtered, cut, and empty now and then.

        Raises LaunchError where nobody can tell whether it is gone.
        """
        scheduler = submission.scheduler
        key = submission.token if scheduler.answers_by_id else f"{submission.launcher} {submission.queue}"
        found = self._looked_up.get(key)
        if found is None or (found and scheduler.answers_by_id and job_id not in found):  # empty: all of it is gone
            with understood(scheduler):
                found = self._looked_up[key] = {**(found or {}), **scheduler.look_up(job_id)}
        info = found.get(job_id)
        return info if info and submission.token in info.name else None


class Progress:
    """Tells how an experiment goes on: messages, and a line for each run that ends.

    Args:
        log: Called with each of them; None: nobody is told.
    """

    def __init__(self, log: Callable[[str], None] | None = None) -> None:
        self._log = log

    def log(self, text: str) -> None:
        """Pass a message on."""
        if self._log:
            self._log(text)

    @contextmanager
    def following(self, experiment: ExperimentDir, runs: Sequence[RunDir]) -> Iterator[Callable[[], None]]:
        """Follow runs until the ``with`` block ends; yields what is to be called a few times a second meanwhile."""
        monitor, read_at = StatusMonitor(experiment), 0.0
        seen = {one.run_id: one for one in monitor.statuses(runs)}
        left = [RunDir(one.folder) for one in seen.values() if not one.state.is_over]

        def read() -> None:
            monitor.refresh()
            for run in list(left):
                status = seen[run.run_id] = monitor.status_of(run.read())
                if status.state.is_over:
                    left.remove(run)
                    marked = {one.run_id: one for one in monitor.mark_disturbed(list(seen.values()))}
                    self.log(f"[{len(runs) - len(left)}/{len(runs)}] {marked[run.run_id].text}")

        def tick() -> None:
            nonlocal read_at
            if time.monotonic() - read_at >= REDRAW_S:
                read()
                read_at = time.monotonic()

        try:
            yield tick
        finally:
            read()


def _stands_still(run: RunSnapshot, since_step_s: float | None) -> str:
    """Why a run that is said to run does not move, where even its watchdog cannot; empty where it may well move.

    A run that takes turns stands still while others have theirs.
    """
    if group := stopped_group(run):
        return f"stopped by a signal: kill -CONT -- -{group} lets it go on, kbench cancel ends it"
    in_turns = run.job is not None and run.job.pairing == "turns"
    if since_step_s is None or (in_turns and not RunDir(run.path).turn.exists()):
        return ""
    own_s = run.job.hang_limit_s if run.job else None
    limit_s = own_s or quiet_limit_s(max((one.train_s + one.eval_s for one in run.epochs), default=None))
    if since_step_s <= limit_s + WATCHDOG_S:
        return ""
    return (
        f"no step for {since_step_s / 60:.0f} min, and its watchdog has not ended it: its processes or its host are "
        "stopped or gone; kbench cancel ends it, kbench run --retry starts it again"
    )


def _ended_by_accounting(submission: Submission, job_id: str | None) -> str:
    """How a job ended, from the accounting, where there is one."""
    if job_id is None or not submission.scheduler.can.accounting:
        return ""
    return submission.scheduler.ended([job_id]).get(job_id, "")
