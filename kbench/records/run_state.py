"""Where a run stands.  What the run wrote comes first; processes only explain its absence."""

import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Any

from kbench.records.folders import RunDir


class State(StrEnum):
    """Where a run stands."""

    MISSING = "missing"  # never started
    WAITING = "waiting"  # in the queue of a scheduler, or of a living kbench run
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"  # by somebody; --retry starts it again
    INTERRUPTED = "interrupted"  # started, gone, and not to blame: kbench run starts it again


ON_REQUEST = ("Cancelled", "Ended")  # by kbench cancel; by somebody who told the job only
# Ends that say nothing against the run: it may be started again unasked.
NOT_TO_BLAME = ("TimeLimit", "NodeFailure", "Preempted", "PrerequisiteMissing", "Vanished")


def state_of(run: RunDir) -> State:
    """The state of a run of this machine, as its folder and its processes tell."""
    if run.done:
        return State.DONE
    words = run.failed
    if words:
        return said(words)
    job = run.job
    if not job:
        return State.MISSING
    return State.RUNNING if is_alive(job, mark=run.run_id) else State.INTERRUPTED


def said(words: dict[str, Any]) -> State:
    """The state that the last words of a run mean."""
    kind = words.get("kind")
    if kind in NOT_TO_BLAME:
        return State.INTERRUPTED
    return State.CANCELLED if kind in ON_REQUEST else State.FAILED


def is_here(job: dict[str, Any]) -> bool:
    """Whether a job was started on this host."""
    return bool(job.get("host") == socket.gethostname())


def is_alive(job: dict[str, Any], *, mark: str) -> bool:
    """Whether the process of a job still runs; on another host we believe that it does.

    ``mark`` must be in its command line, so that a recycled process id deceives nobody.
    """
    if not is_here(job):
        return True
    try:
        pid = int(job["id"])
        os.kill(pid, 0)
    except (KeyError, TypeError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return False  # somebody else's process: the number was recycled
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        zombie = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True  # no /proc here: the number is all there is
    return mark in command and not zombie
