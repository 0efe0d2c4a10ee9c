"""What drivers note in an experiment's folder: who starts runs there, what was submitted, and in which order."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kbench import files
from kbench.config import site
from kbench.errors import LaunchError
from kbench.launch.schedulers.base import Scheduler
from kbench.launch.schedulers.registry import scheduler_class
from kbench.records.folders import ExperimentDir
from kbench.records.liveness import is_alive


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One job script, submitted once: a job, or an array of them."""

    token: str  # in the job's name, and the script's: what finds it again in the queue
    launcher: str
    queue: site.Queue | None  # the scheduler's commands, where it needs some
    array: bool
    id: str | None = None  # None: the driver did not live to note it, or it was never taken
    over: str = ""  # why it never came to be

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that has it."""
        return scheduler_class(self.launcher)(self.queue)

    def job(self, task: int, job_id: str | None = None) -> str | None:
        """The id of the job that does a task; None where it is not known."""
        first = self.id or job_id
        return scheduler_class(self.launcher).task_id(first, task) if first and self.array else first


def submissions(experiment: ExperimentDir) -> dict[str, Submission]:
    """Read all submissions of an experiment by their tokens, in their order."""
    found: dict[str, Submission] = {}
    for entry in files.read(experiment.ledger):
        token = str(entry.get("token"))
        match entry.get("event"):
            case "submit":
                queue = site.Queue.model_validate(entry["queue"]) if entry.get("queue") else None
                found[token] = Submission(
                    token=token, launcher=entry["launcher"], queue=queue, array=entry.get("array", False)
                )
            case "submitted" if token in found:
                found[token] = replace(found[token], id=str(entry["id"]))
            case "refused" | "lost" as event if token in found:
                found[token] = replace(found[token], over=str(entry.get("why", event)))
    return found


def note(experiment: ExperimentDir, event: str, token: str, **facts: Any) -> None:
    """Append what happens to a submission, before it happens."""
    at = datetime.now(UTC).isoformat()
    files.append(experiment.ledger, {"event": event, "token": token, "at": at, **facts})


@contextmanager
def submitting(experiment: ExperimentDir) -> Iterator[Sequence[int]]:
    """Hold the experiment's queue; yields the file descriptors that a submitting command must inherit.

    The lock lives as long as such a command does, even when this process is killed: whoever comes
    next then knows that what is not in the queue was never taken.
    """
    with files.locked(experiment.path / ".submitting", required=False) as descriptor:  # else driver_lock is left
        yield (descriptor,)


def note_order(experiment: ExperimentDir, order: Sequence[str], *, random_seed: int, max_parallel: int) -> None:
    """Append in which order runs are to start."""
    at = datetime.now(UTC).isoformat()
    facts = {"random_seed": random_seed, "max_parallel": max_parallel, "order": list(order)}
    files.append(experiment.ledger, {"event": "order", "at": at, **facts})


def last_order(experiment: ExperimentDir) -> frozenset[str]:
    """Read the ids of the runs that the latest ``kbench run`` was to start."""
    orders = [entry for entry in files.read(experiment.ledger) if entry.get("event") == "order"]
    return frozenset(orders[-1]["order"]) if orders else frozenset()


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A process that starts runs in an experiment's folder."""

    id: int
    host: str
    started_at: str
    command: str = "kbench"  # as ``is_alive`` reads it: a script that calls kbench.run has a name of its own

    @classmethod
    def here(cls) -> "Driver":
        """This process."""
        try:
            command = Path("/proc/self/cmdline").read_bytes().decode(errors="replace")
        except OSError:  # no /proc here
            command = cls.command
        return cls(id=os.getpid(), host=socket.gethostname(), started_at=datetime.now(UTC).isoformat(), command=command)


@contextmanager
def driver_lock(experiment: ExperimentDir) -> Iterator[None]:
    """Hold the experiment's folder; raises LaunchError while another living process does."""
    with files.locked(experiment.ledger, required=False):  # others may not look and take at the same moment
        check_no_driver(experiment)
        files.write_json(experiment.driver, asdict(Driver.here()))
    try:
        yield
    finally:
        experiment.driver.unlink(missing_ok=True)


def check_no_driver(experiment: ExperimentDir) -> None:
    """Raise LaunchError while a living process starts runs here."""
    if other := driver_of(experiment):
        raise LaunchError(
            f"{experiment.path}: kbench run is at work here already "
            f"(process {other.id} on {other.host}, since {other.started_at[:19]})",
            hint=f"follow it with kbench status; if it is dead, delete {experiment.driver}",
        )


def driver_of(experiment: ExperimentDir) -> Driver | None:
    """Read which living process starts runs here."""
    facts = files.read_json(experiment.driver)
    try:
        driver = Driver(**{field.name: facts[field.name] for field in fields(Driver) if field.name in facts})
    except TypeError:  # nothing, or not all of it
        return None
    return driver if is_alive(driver.host, driver.id, mark=driver.command) else None
