"""The base class of schedulers: what each can do, how it takes, lists and ends jobs, and how a job knows itself.

A scheduler is one file with a subclass of ``Scheduler``, and one line in ``registry.py``; a site may also
name one that lives elsewhere as ``launcher: package.module:Class``.
"""

import os
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, NamedTuple

from kbench.config.rank_variables import without_ranks
from kbench.config.site import Queue, Site
from kbench.errors import LaunchError
from kbench.launch.diagnosis import Answer, Finding, ask
from kbench.records.run_state import FailureKind

TIMEOUT_S = 30.0
SUBMIT_TIMEOUT_S = 120.0


class NoAnswer(LaunchError):
    """A scheduler did not answer in time; the command may have taken effect all the same."""


class Stage(StrEnum):
    """Where a job is, for its scheduler."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


class JobInfo(NamedTuple):
    """What a scheduler's list of jobs tells of one."""

    stage: Stage
    name: str  # empty: the list does not tell it
    reason: str = ""  # why it waits, or how it ended
    starts_at: str = ""  # when it is expected to start, in the scheduler's words and time zone


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a scheduler can do, as far as submitting and following runs depend on it."""

    arrays: bool = False  # one script for many tasks, of which at most so many run at a time
    corresponding_tasks: bool = False  # a task can wait for the task of the same number in another array
    submission_test: str = ""  # command that tells whether it would take a script, without taking it
    accounting: bool = False  # it tells how a job ended that has left its list
    excluded_nodes: bool = False  # it can keep a job away from named nodes
    site_commands: bool = False  # it is driven by the commands of the site's key queue
    job_states: bool = False  # its list tells waiting jobs from running ones; else only which jobs there are


@dataclass(frozen=True, kw_only=True)
class JobVariables:
    """The environment variables by which a job knows itself, and how it puts itself back into the queue."""

    scheduler: str  # as start.json names it
    id: str
    nodes: str  # holds what ``Scheduler.node_names`` reads
    array: tuple[str, str] | None = None  # the array's id and the task's number, in a task of an array
    restarts: str = ""  # how often the scheduler has started the job again; empty: it does not tell
    components: str = ""  # of how many parts, each with nodes of its own kind, the job consists; empty: of one
    is_running: tuple[str, ...] = ()  # command that prints RUNNING unless the job has been ended meanwhile
    requeue: tuple[str, ...] = ()  # command that puts the job back into the queue
    requeue_status: int | None = None  # or the exit status that does


@dataclass(frozen=True, kw_only=True)
class JobEnvironment:
    """The job that this process is part of."""

    scheduler: str = "none"  # none: outside of any job of a known scheduler
    id: str = ""
    nodes: tuple[str, ...] = ()
    restarts: int = 0  # how often its scheduler has started it again
    components: int = 1  # more: a heterogeneous job, whose parts have nodes of different kinds
    variables: JobVariables | None = None

    def requeue(self) -> int | None:
        """Put the job back into the queue; returns the status to exit with, None where that is impossible."""
        how = self.variables
        if how is None:
            return None
        if how.requeue_status is not None:
            return how.requeue_status
        if how.is_running and self._ask(how.is_running).out.strip() != "RUNNING":
            return None  # it would bring back what somebody has cancelled
        return 0 if how.requeue and self._ask(how.requeue).ok else None

    def _ask(self, command: tuple[str, ...]) -> Answer:
        return ask([part.format(id=self.id) for part in command], seconds=60)


class Scheduler(ABC):
    """A queue of jobs on a cluster; a subclass says in data what it can do, and in methods how."""

    name: ClassVar[str]  # what a site's ``launcher`` calls it
    can: ClassVar[Capabilities] = Capabilities()
    template: ClassVar[str] = ""  # its job script in jobs/; empty: the site names one, or
    template_text: ClassVar[str] = ""  # the class brings one along
    job_variables: ClassVar[tuple[JobVariables, ...]] = ()
    end_kinds: ClassVar[Mapping[str, FailureKind]] = {}  # how it says that a job ended -> kind of the run's failure
    hints: ClassVar[Mapping[str, str]] = {}  # part of a refusal, in small letters -> what to do
    hidden_variables: ClassVar[tuple[str, ...]] = ()  # prefixes of what would change jobs unseen
    kept_variables: ClassVar[tuple[str, ...]] = ()  # those with such a prefix that its commands need

    def __init__(self, commands: Queue | None = None) -> None:
        """``commands`` are those of the site file's key ``queue``."""
        self.commands = commands

    @abstractmethod
    def submit(self, script: Path, *, keep: Sequence[int] = ()) -> str:
        """Submit a job script; returns the job's id.

        ``keep`` are file descriptors that the command inherits.  Raises LaunchError when it is refused.
        """

    @abstractmethod
    def jobs(self) -> dict[str, JobInfo]:
        """List all jobs of this user by their ids, the tasks of an array one by one, in one call."""

    @abstractmethod
    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs, waiting ones too; raises LaunchError when the scheduler does not take it."""

    @property
    def answers_by_id(self) -> bool:
        """Whether ``look_up`` asks for one job by its id, rather than for the list a second time."""
        return False

    def look_up(self, job_id: str) -> dict[str, JobInfo]:
        """Ask once more for a job that one list left out, as lists are filtered, cut, and empty now and then.

        Returns:
            Jobs by their ids, of which the one that was asked for is gone if it is not among them.

        Raises:
            LaunchError: Nobody can tell.
        """
        return self.jobs()

    def find(self, token: str) -> str | None:
        """The id of the job, without an array's task, whose name has a token in it; None where a second look agrees.

        Raises LaunchError where nobody can tell.
        """
        return self.id_by_token(token, self.jobs()) or self.id_by_token(token, self.jobs())

    def find_submitted(self, script: Path, printed: str) -> str:
        """The id of a script that has just been submitted, by a command that ended well and did not print one.

        Raises NoAnswer where it is not in the queue: it may come there.
        """
        try:
            found = self.find(script.stem)
        except LaunchError as error:
            raise NoAnswer(error.message, hint=error.hint) from error
        if found is None:
            raise NoAnswer(
                f"submitting {script} went well and printed no job id but {printed.strip()[:80]!r}",
                hint="the job may come into the queue, where kbench run finds it by its name",
            )
        return found

    def id_by_token(self, token: str, jobs: Mapping[str, JobInfo]) -> str | None:
        """The id, without an array's task, of the one of some jobs whose name has a token in it."""
        named = (job for job, info in jobs.items() if token in info.name and info.stage is not Stage.OVER)
        return next((self.array_id(job) for job in named), None)

    @classmethod
    def site_problem(cls, site: Site) -> str:
        """What a site lacks for this scheduler, as the end of a sentence about the launcher; empty when nothing."""
        return ""

    @classmethod
    def path_problem(cls, path: str) -> str:
        """What in the path of an experiment's folder keeps job scripts from it; empty when nothing."""
        return "" if path.isprintable() else "control characters"

    @classmethod
    def job_name(cls, experiment: str, token: str) -> str:
        """The name of a job; it must contain the token, by which the job is found in the list."""
        return token

    @classmethod
    def task_id(cls, job_id: str, task: int | str) -> str:
        """The id of a task of an array; of a job that is none, its own."""
        return job_id

    @classmethod
    def array_id(cls, job_id: str) -> str:
        """The id of the array that a task belongs to; of a job that belongs to none, its own."""
        return job_id

    @classmethod
    def node_names(cls, value: str) -> tuple[str, ...]:
        """The names of a job's nodes, each once, from the variable that holds them: here, the file that it names."""
        try:
            lines = Path(value).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(dict.fromkeys(line.split()[0] for line in lines if line.strip()))

    @classmethod
    def job_environment(cls, environ: Mapping[str, str]) -> JobEnvironment | None:
        """The job of this scheduler that this process is part of; None outside of any."""
        for names in cls.job_variables:
            if names.id not in environ or names.nodes not in environ:
                continue
            job_id = environ[names.id]
            if names.array and names.array[0] in environ:
                job_id = cls.task_id(environ[names.array[0]], environ[names.array[1]])
            return JobEnvironment(
                scheduler=names.scheduler,
                id=job_id,
                nodes=cls.node_names(environ[names.nodes]),
                restarts=_count(environ.get(names.restarts)),
                components=max(1, _count(environ.get(names.components))),
                variables=names,
            )
        return None

    def is_there(self) -> bool:
        """Whether its commands are on this machine, as they are where jobs are submitted."""
        return True

    @classmethod
    def is_up(cls) -> bool:
        """Whether ``launcher: auto`` takes this scheduler on this machine."""
        return False

    def limit_problem(self, site: Site) -> str:
        """Which limit makes jobs of a site wait for ever, as a sentence; empty when none."""
        return ""

    def test(self, script: Path) -> str:
        """What the scheduler's own test prints about a script; raises LaunchError when it would be refused."""
        return ""

    def ended(self, ids: Sequence[str]) -> dict[str, str]:
        """How jobs ended, as far as the accounting tells, as a key of ``end_kinds``."""
        return {}

    def max_array_tasks(self) -> int:
        """How many tasks an array may have."""
        return 1

    def failed_nodes(self, names: Sequence[str]) -> list[str]:
        """Those of some nodes that the scheduler knows to be down or failing."""
        return []

    @classmethod
    def diagnose(cls, site: Site, *, needed: bool) -> Iterator[Finding]:
        """What ``kbench doctor`` prints: whether the scheduler is there, and whether it has what a site requests.

        ``needed``: the site cannot do without it.
        """
        return iter(())

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The environment of its commands: without settings of the user's shell that would reach jobs or filter lists.

        What another launcher has set for ranks goes as well: a job would take it for its own.
        """
        hidden = self.hidden_variables
        left = without_ranks(environ)
        return {k: v for k, v in left.items() if k in self.kept_variables or not k.startswith(hidden)}

    def run(
        self, command: Sequence[str], *, name: str = "", timeout_s: float = TIMEOUT_S, keep: Sequence[int] = ()
    ) -> str:
        """What a command of the scheduler prints; raises LaunchError with its own words when it fails.

        ``name`` is what errors call the command, where its first word says little.
        """
        name = name or command[0]
        english = {"LC_ALL": "C"} if not keep else {}  # a command that submits hands its environment to the job
        try:
            done = subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                env=self.environment() | english,
                pass_fds=tuple(keep),
            )
        except FileNotFoundError as error:
            raise LaunchError(
                f"{name!r} is not there", hint="is this a login node of the cluster? kbench doctor shows what there is"
            ) from error
        except PermissionError as error:
            raise LaunchError(f"{name!r} cannot be executed", hint="see the site file") from error
        except subprocess.TimeoutExpired as error:
            raise NoAnswer(
                f"{name} does not answer within {timeout_s:g} s",
                hint="the scheduler is busy or down; nothing is lost, try again later",
            ) from error
        if done.returncode:
            lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            why = "; ".join(dict.fromkeys(re.sub(r"^\w+: error: ", "", line) for line in lines[-2:])) or "no word"
            failure = NoAnswer if "timed out" in why.lower() else LaunchError
            hints = {**self.hints, "unable to contact": "the scheduler is down; nothing is lost, try again later"}
            hint = next((hint for part, hint in hints.items() if part in why.lower()), "")
            raise failure(f"{name} fails with status {done.returncode}: {why}", hint=hint)
        return done.stdout


@contextmanager
def understood(scheduler: Scheduler) -> Iterator[None]:
    """Raise LaunchError in place of what a class from elsewhere raises over an answer that it cannot read."""
    try:
        yield
    except (ValueError, LookupError) as error:
        what = f"{type(error).__name__}: {error}"
        raise LaunchError(f"launcher {scheduler.name} cannot read what its commands print: {what}") from error


def _count(text: str | None) -> int:
    """A number that a scheduler set; none where it is no number."""
    return int(text) if text and text.isdecimal() else 0
