"""Whether a run's process lives, and where the run then stands.  What the run wrote comes first."""

import os
import socket
from pathlib import Path

from kbench.records.run_state import State
from kbench.records.snapshot import RunSnapshot


def state_of(run: RunSnapshot) -> State:
    """The state of a run of this machine, as its folder and its processes tell."""
    if run.state_on_record is None and run.job and is_alive(run.job.host, run.job.id, mark=run.run_id):
        if is_here(run.job.host) or not run.trouble:  # of another host's we only believe it
            return State.RUNNING
    if run.trouble:
        return State.DAMAGED
    if run.state_on_record:
        return run.state_on_record
    return State.INTERRUPTED if run.job else State.MISSING


def is_here(host: str) -> bool:
    """Whether a host is this one."""
    return host == socket.gethostname()


def is_alive(host: str, process: int | str | None, *, mark: str) -> bool:
    """Whether a process still runs; on another host we believe that it does.

    ``mark`` must be in its command line, so that a recycled process id deceives nobody.
    """
    if not is_here(host):
        return True
    try:
        pid = int(process or "")
        os.kill(pid, 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return False  # somebody else's process: the number was recycled
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        zombie = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True  # no /proc here: the number is all there is
    return mark in command and not zombie
