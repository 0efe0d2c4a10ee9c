"""Read and write ledger.jsonl: what was submitted to schedulers, and in which order runs start."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from kbench import files
from kbench.config import site
from kbench.launch.schedulers.base import Scheduler
from kbench.launch.schedulers.registry import scheduler_class
from kbench.records.folders import ExperimentDir


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
