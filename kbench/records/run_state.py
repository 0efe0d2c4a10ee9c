"""The states of a run, and the kinds of failure, each with what it means for the run."""

from enum import StrEnum


class State(StrEnum):
    """Where a run stands."""

    MISSING = "missing"  # never started
    WAITING = "waiting"  # in the queue of a scheduler, or of a living kbench run
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"  # by somebody; --retry starts it again
    INTERRUPTED = "interrupted"  # started, gone, and not to blame: kbench run starts it again
    DAMAGED = "damaged"  # its files do not fit together; --retry trains it again


class FailureKind(StrEnum):
    """Why an attempt ended that did not come to its end."""

    RAISED = "Raised"  # an exception of kbench, of a strategy or of a library
    DIED = "Died"  # its ranks ended and wrote nothing
    OUT_OF_MEMORY = "OutOfMemory"
    CANNOT_START = "CannotStart"  # the command that starts ranks is not there
    PREREQUISITE_FAILED = "PrerequisiteFailed"
    CANCELLED = "Cancelled"  # by kbench cancel
    ENDED = "Ended"  # by somebody who told the job only
    TIME_LIMIT = "TimeLimit"
    NODE_FAILURE = "NodeFailure"
    PREEMPTED = "Preempted"
    PREREQUISITE_MISSING = "PrerequisiteMissing"
    VANISHED = "Vanished"  # its job is gone from the queue, and nothing says why

    @property
    def state(self) -> State:
        """The state of a run that ended so."""
        if self in (FailureKind.CANCELLED, FailureKind.ENDED):
            return State.CANCELLED
        return State.INTERRUPTED if self in NOT_TO_BLAME else State.FAILED

    @property
    def needs_retry(self) -> bool:
        """Whether kbench run starts the run again only with --retry."""
        return self not in NOT_TO_BLAME

    @property
    def hint(self) -> str:
        """What to do about it."""
        if self is FailureKind.PREREQUISITE_FAILED:
            return "mend that one, then kbench run --retry"
        return f"kbench run {'--retry ' if self.needs_retry else ''}starts it again"


NOT_TO_BLAME = (
    FailureKind.TIME_LIMIT,
    FailureKind.NODE_FAILURE,
    FailureKind.PREEMPTED,
    FailureKind.PREREQUISITE_MISSING,
    FailureKind.VANISHED,
)
