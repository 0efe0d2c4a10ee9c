"""Whether a run's process lives, and where the run then stands.  What the run wrote comes first."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from kbench.records.run_state import State
from kbench.records.snapshot import RunSnapshot

FIRST_S = 3600.0  # that nothing may happen before an epoch has been trained: data is copied, the model compiled
LEAST_S, EPOCHS = 600.0, 10.0  # afterwards, unless the site says otherwise: so many times the slowest epoch


def state_of(run: RunSnapshot) -> State:
    """The state of a run of this machine, as its folder and its processes tell."""
    if run.state_on_record is None and run.job and is_alive(run.job.host, process_of(run), mark=run.run_id):
        if is_here(run.job.host) or not run.trouble:  # of another host's we only believe it
            return State.RUNNING
    if run.trouble:
        return State.DAMAGED
    if run.state_on_record:
        return run.state_on_record
    return State.INTERRUPTED if run.job else State.MISSING


def process_of(run: RunSnapshot) -> int | None:
    """The process of this machine that does a run, which leads a group of its own; None where there is none.

    It is in job.json, but for a moment after its start: where what started it was killed in that moment, it is found by
    its command line, which names the run's script, or the folder where it has turns in another's process.
    """
    if run.job is None or run.job.id is not None or run.job.token is not None or not is_here(run.job.host):
        return run.job.id if run.job else None
    marks = {os.fsencode((run.path / "job.sh").resolve()), os.fsencode(run.path.resolve())}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended, or there is no /proc
            continue
        number = int(process.name)
        with suppress(ProcessLookupError):
            if marks & set(arguments) and os.getpgid(number) == number:
                return number
    return None


def stopped_group(run: RunSnapshot) -> int | None:
    """The group of a run's processes where one of them was stopped by a signal (SIGSTOP, Ctrl-Z); None otherwise."""
    import psutil

    pid = process_of(run) if run.job and is_here(run.job.host) else None
    with suppress(psutil.Error):
        process = psutil.Process(pid) if pid else None
        every = [process, *process.children(recursive=True)] if process else []
        if any(each.status() == psutil.STATUS_STOPPED for each in every):
            return pid
    return None


def quiet_limit_s(slowest_epoch_s: float | None) -> float:
    """How long nothing may happen in a run [s]; ``slowest_epoch_s`` is None before an epoch has ended."""
    return FIRST_S if slowest_epoch_s is None else max(LEAST_S, EPOCHS * slowest_epoch_s)


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
