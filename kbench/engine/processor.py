"""Processor time of a rank: its own, and that of the processes that read its data."""

import multiprocessing
import os
import time
from pathlib import Path


def processor_s() -> float:
    """Seconds since some moment, over all threads of this process and of the living processes that it started."""
    return time.process_time() + sum(_of(child.pid) for child in multiprocessing.active_children())


def _of(pid: int | None) -> float:
    """What a process has used [s]; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system
