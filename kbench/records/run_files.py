"""The files of a run's folder, typed and versioned: what the processes of a run tell one another and the reader."""

import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator

from kbench import files
from kbench.config.site import Site
from kbench.errors import ResultsError, RunError, printable
from kbench.records.journal import PhaseLength
from kbench.records.migrations import sentence, upgrade
from kbench.records.run_state import FailureKind


class RunFile(BaseModel):
    """A JSON file in a run's folder; a key that this schema does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    NAME: ClassVar[str]
    REMEDY: ClassVar[str] = "kbench run --retry trains the run again"  # where it is damaged

    schema_version: Literal[6] = 6

    @field_validator("*", mode="before")
    @classmethod
    def _printable(cls, value: object) -> object:
        """Escape what would steer a terminal, and lone surrogates, which no file in UTF-8 can hold."""
        if isinstance(value, str):
            return printable(value)
        if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            return tuple(map(printable, value))
        return value

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the file in a run's folder, whatever schema it has; None where there is none.

        Raises ResultsError when it is no such record, or one of a newer kbench.
        """
        path = folder / cls.NAME
        try:
            return cls.model_validate(upgrade(cls.NAME, path.read_bytes(), cls.model_fields))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ResultsError(f"{path}: {sentence(error)}", hint=cls.REMEDY) from error
        except OSError as error:
            raise ResultsError(f"{path}: cannot be read: {files.reason(error)}") from error

    @classmethod
    def read_if_whole(cls, folder: Path) -> Self | None:
        """Read the file in a run's folder; None where there is none, or where it is damaged."""
        try:
            return cls.read(folder)
        except ResultsError:
            return None

    def write(self, folder: Path) -> None:
        """Write the file into a run's folder, whole or not at all."""
        files.write(folder / self.NAME, self.text)

    @property
    def text(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=1) + "\n"

    def updated(self, **changes: object) -> Self:
        """The same with some fields changed."""
        return self.model_validate({**dict(self), **changes})


class Allocation(BaseModel):
    """What the site says that a job gets; the ranks hold it against what they find."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: int
    ranks_per_node: int
    gpus_per_node: int


class Job(RunFile):
    """How a run was last started, or handed to a scheduler."""

    NAME = "job.json"

    attempt: int  # how often the run was started, this time included, from 1
    host: str  # where it was started from
    launcher: str | None = None
    id: int | None = None  # of the process on that host; None: a scheduler has it, or it never came to be
    token: str | None = None  # of the submission
    task: int = 0  # of the submission
    allocation: Allocation | None = None
    max_parallel: int = 1
    pairing: str | None = None  # none, node or turns; None: written before schema 3
    block: str | None = None  # of the runs that were started one after the other on one machine
    place: int | None = None  # in that block, from 0; None: it shared the machine, or has one of its own
    threads_per_rank: int | None = None
    data_root: str = ""
    scratch: str = ""
    network_interface: str = ""
    hang_limit_s: int | None = None  # without a step; None: what the slowest epoch allows
    submitted_at: datetime | None = None

    @classmethod
    def of(
        cls, site: Site | None = None, *, attempt: int, token: str | None = None, task: int = 0, max_parallel: int = 1,
        pairing: str | None = None,
    ) -> "Job":  # fmt: skip
        """Describe a start from this host, on ``site``; ``token`` and ``task`` say which submission does the run."""
        own = {"token": token, "task": task, "max_parallel": max_parallel, "pairing": pairing}
        job = cls.model_validate({"attempt": attempt, "host": socket.gethostname(), **own})
        if site is None:
            return job
        keys = ("launcher", "threads_per_rank", "data_root", "scratch", "network_interface", "hang_limit_s")
        parts = {key: getattr(site, key) for key in Allocation.model_fields}
        return job.updated(
            **{key: getattr(site, key) for key in keys},
            allocation=Allocation(**parts) if token else None,
            submitted_at=datetime.now(UTC),
        )


class Start(RunFile):
    """How a scheduler's job last began the run."""

    NAME = "start.json"

    attempt: int
    id: str  # of the job
    scheduler: str
    host: str
    nodes: tuple[str, ...]
    restarts: int  # how often the scheduler has started the job again
    started_at: datetime
    earlier: tuple["Start", ...] = ()

    @classmethod
    def of(
        cls, before: "Start | None", *, attempt: int, id: str, scheduler: str, nodes: Iterable[str], restarts: int
    ) -> "Start":
        """Describe a start on this host; ``before`` is the one that it comes after."""
        return cls(
            attempt=attempt,
            id=id,
            scheduler=scheduler,
            host=socket.gethostname(),
            nodes=tuple(nodes),
            restarts=restarts,
            started_at=datetime.now(UTC),
            earlier=(*before.earlier, before.updated(earlier=())) if before else (),
        )


class Provenance(RunFile):
    """Where and with what a run was made; None is what is not known, or not yet.  None of it is part of its name."""

    NAME = "provenance.json"

    commit: str | None = None
    dirty: bool | None = None
    kbench_version: str | None = None
    python_version: str | None = None
    torch_version: str | None = None
    numpy_version: str | None = None
    platform: str | None = None
    processor: str | None = None
    argv: tuple[str, ...] = ()
    started_at: datetime | None = None
    epochs: int | None = None  # over all phases
    phases: tuple[PhaseLength, ...] | None = None  # None: written by schema 1
    device_name: str | None = None
    n_devices: int | None = None
    hosts: tuple[str, ...] = ()
    threads_per_rank: int | None = None
    max_parallel: int | None = None
    spin: str | None = None
    pairing: str | None = None
    launcher: str | None = None
    worker_started_at: datetime | None = None
    metric: str | None = None
    n_val: int | None = None
    dataset_note: str | None = None
    dataset_identity: str | None = None
    strategy_code: str | None = None  # digest of its source; None: it is kbench's, or has no source
    backend: str | None = None
    stage_s: float | None = None  # over all attempts
    first_read_s: float | None = None  # before the latest one
    staging_started_at: datetime | None = None
    staging_stopped_at: datetime | None = None


class Environment(RunFile):
    """What was installed where a run was made, in full; ``kbench bundle`` takes it along, and nothing else reads it."""

    NAME = "environment.json"

    packages: Mapping[str, str]  # versions of all that pip knows, by name
    cuda: str | None = None  # None, here and below: not there, or not known
    cudnn: str | None = None
    nccl: str | None = None
    driver: str | None = None  # of NVIDIA
    mpi: str | None = None


class Done(RunFile):
    """What a run writes last when it went well."""

    NAME = "done.json"

    attempt: int
    ended_at: datetime
    last_phase: str = "train"
    phases: tuple[PhaseLength, ...] | None = None  # None: written by schema 1
    weights_digest: str | None = None
    final_digest: str | None = None  # of the weights that it ended with; None: an older kbench wrote it
    order_digest: str | None = None
    augment_digest: str | None = None
    disturbs: str | None = None

    @classmethod
    def of(
        cls, *, attempt: int, phases: Sequence[PhaseLength], digests: Mapping[str, str] | None = None,
        disturbs: str | None = None,
    ) -> "Done":  # fmt: skip
        """Describe an end that has just been reached.

        Args:
            attempt: Which attempt reached it.
            phases: What the run set out to train.
            digests: By column, of the initial and the final weights, the first order and the first view.
            disturbs: Random streams of others that the strategy moved.
        """
        last = phases[-1].name if phases else "train"
        return cls(
            attempt=attempt,
            ended_at=datetime.now(UTC),
            last_phase=last,
            phases=tuple(phases),
            disturbs=disturbs,
        ).updated(**(digests or {}))


class Failure(RunFile):
    """How an attempt ended that did not come to its end."""

    NAME = "failed.json"

    error: str
    hint: str = ""
    kind: FailureKind
    exception: str | None = None  # the class of what was raised
    exit_code: int = RunError.exit_code
    rank: int | None = None  # that raised it
    attempt: int
    node: str | None = None  # one that failed, so that it can be avoided
    traceback: str | None = None
    ended_at: datetime

    @classmethod
    def of(
        cls, error: str, *, kind: FailureKind, attempt: int, hint: str | None = None, node: str | None = None,
        exception: str | None = None, exit_code: int = RunError.exit_code, rank: int | None = None,
        traceback: str | None = None,
    ) -> "Failure":  # fmt: skip
        """Describe an end that has just been met; the hint is the kind's unless there is a better one."""
        return cls(
            error=error,
            hint=kind.hint if hint is None else hint,
            kind=kind,
            exception=exception,
            exit_code=exit_code,
            rank=rank,
            attempt=attempt,
            node=node,
            traceback=traceback,
            ended_at=datetime.now(UTC),
        )
