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
    WAITING = "waiting"  # in the queue of a living kbench run
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # started, gone, and no word of its end


def state_of(run: RunDir) -> State:
    """The state of a run, as its folder and this machine tell."""
    if run.done:
        return State.DONE
    if run.failed:
        return State.FAILED
    job = run.job
    if not job:
        return State.MISSING
    return State.RUNNING if is_alive(job, mark=run.run_id) else State.INTERRUPTED


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
