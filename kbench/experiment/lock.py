"""The lock on an experiment's folder: one process starts runs there, a second one is refused."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kbench import files
from kbench.errors import LaunchError
from kbench.records.folders import ExperimentDir
from kbench.records.liveness import is_alive


@contextmanager
def driver_lock(experiment: ExperimentDir) -> Iterator[None]:
    """Hold the experiment's folder; raises LaunchError while another living process does."""
    facts = {
        "id": os.getpid(),
        "host": socket.gethostname(),
        "command": _own_command(),
        "started_at": datetime.now(UTC).isoformat(),
    }
    with files.locked(experiment.ledger, required=False):  # others may not look and take at the same moment
        check_no_driver(experiment)
        files.write_json(experiment.driver, facts)
    try:
        yield
    finally:
        experiment.driver.unlink(missing_ok=True)


def check_no_driver(experiment: ExperimentDir) -> None:
    """Raise LaunchError while a living process starts runs here."""
    other = driver_of(experiment)
    if other:
        raise LaunchError(
            f"{experiment.path}: kbench run is at work here already "
            f"(process {other['id']} on {other['host']}, since {other['started_at'][:19]})",
            hint=f"follow it with kbench status; if it is dead, delete {experiment.driver}",
        )


def driver_of(experiment: ExperimentDir) -> dict[str, str]:
    """Read which living process starts runs here; empty when there is none."""
    facts = files.read_json(experiment.driver)
    mark = str(facts.get("command", "kbench"))  # a Python script that calls kbench.run has a name of its own
    return facts if facts and is_alive(str(facts.get("host")), facts.get("id"), mark=mark) else {}


def _own_command() -> str:
    """The command line of this process, as ``is_alive`` reads it; 'kbench' where there is no /proc."""
    try:
        return Path("/proc/self/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return "kbench"
