"""The states of a run, and the kinds of failure, each with what it means for the run."""

from enum import StrEnum


class State(StrEnum):
    """Where a run stands; each with what ``kbench run`` does about it."""

    MISSING = "missing", "run"  # never started
    WAITING = "waiting", "live"  # in the queue of a scheduler, or of a living kbench run
    RUNNING = "running", "live"
    DONE = "done", ""
    FAILED = "failed", "run --retry"
    CANCELLED = "cancelled", "run --retry"  # by somebody
    INTERRUPTED = "interrupted", "run"  # started, gone, and not to blame
    DAMAGED = "damaged", "run --retry"  # its files do not fit together

    _started_by: str

    def __new__(cls, value: str, started_by: str) -> "State":
        """Make a state that ``kbench run`` or ``kbench run --retry`` starts again, or that is live."""
        state = str.__new__(cls, value)
        state._value_, state._started_by = value, started_by
        return state

    @property
    def is_live(self) -> bool:
        """Whether the run goes on, or will without anybody's doing."""
        return self._started_by == "live"

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, and ``kbench run`` leaves it so unless it is given ``--retry``."""
        return self._started_by in ("", "run --retry")

    def starts_again(self, *, retry: bool) -> bool:
        """Whether ``kbench run`` starts a run that stands so, with ``--retry`` or without."""
        return self._started_by == "run" or (retry and self._started_by == "run --retry")


class FailureKind(StrEnum):
    """Why an attempt ended that did not come to its end."""

    RAISED = "Raised"  # an exception of kbench, of a strategy or of a library
    HANG = "Hang"  # nothing happened in its ranks for long, and the watchdog ended them
    DIED = "Died"  # its ranks ended and wrote nothing
    OUT_OF_MEMORY = "OutOfMemory"
    DISK_FULL = "DiskFull"  # a file system or a quota
    CANNOT_START = "CannotStart"  # the command that starts ranks is not there
    PREREQUISITE_FAILED = "PrerequisiteFailed"
    CANCELLED = "Cancelled"  # by kbench cancel
    ENDED = "Ended"  # by somebody who told the job only
    TIME_LIMIT = "TimeLimit"
    NODE_FAILURE = "NodeFailure"
    PREEMPTED = "Preempted"
    PREREQUISITE_MISSING = "PrerequisiteMissing"
    BLOCK_ENDED = "BlockEnded"  # the process ended in the turn of another run
    VANISHED = "Vanished"  # its job is gone from the queue, and nothing says why

    @property
    def state(self) -> State:
        """The state of a run that ended so."""
        if self in (FailureKind.CANCELLED, FailureKind.ENDED):
            return State.CANCELLED
        return State.INTERRUPTED if self in NOT_TO_BLAME else State.FAILED

    @property
    def may_be_requeued(self) -> bool:
        """Whether the job of a run that ended so may be in the queue again."""
        return self.state is State.INTERRUPTED and self is not FailureKind.VANISHED

    @property
    def needs_retry(self) -> bool:
        """Whether kbench run starts the run again only with --retry."""
        return self not in NOT_TO_BLAME

    @property
    def hint(self) -> str:
        """What to do about it."""
        if self is FailureKind.PREREQUISITE_FAILED:
            return "mend that one, then kbench run --retry"
        if self is FailureKind.DISK_FULL:
            return "make room there (df -h, quota -s; kbench clean removes what is not needed), then kbench run --retry"
        return f"kbench run {'--retry ' if self.needs_retry else ''}starts it again"


NOT_TO_BLAME = (
    FailureKind.TIME_LIMIT,
    FailureKind.NODE_FAILURE,
    FailureKind.PREEMPTED,
    FailureKind.PREREQUISITE_MISSING,
    FailureKind.BLOCK_ENDED,
    FailureKind.VANISHED,
)
