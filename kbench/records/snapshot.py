"""What the files of a run's folder said at one moment, each read once."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.files import reason
from kbench.records import journal as journals
from kbench.records.run_files import Done, Failure, Job, Provenance, RunFile, Start
from kbench.records.run_state import State
from kbench.records.schema import EpochRecord

SPEC = "spec.json"
CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"  # the one before it, while a run goes on
SUPERSEDED = "superseded"  # holds the records of attempts that were trained again
File = TypeVar("File", bound=RunFile)


@dataclass(frozen=True, kw_only=True)
class RunSnapshot:
    """A run at one moment; nothing is read any more."""

    path: Path
    spec: RunSpec | None  # None: it cannot be read
    job: Job | None  # None, here and below: there is none
    start: Start | None
    provenance: Provenance
    done: Done | None
    failure: Failure | None
    epochs: tuple[EpochRecord, ...]  # those that count
    trouble: str = ""  # what is damaged, in a sentence
    n_redone: int = 0  # how often it was trained again after it was done

    @property
    def run_id(self) -> str:
        """The name of the run and of its folder."""
        return self.path.name

    @property
    def attempt(self) -> int:
        """How often the run was started, the start that is requested included; 0 before any."""
        return attempt_of(self.job, self.start)

    @property
    def has_started(self) -> bool:
        """Whether a scheduler's job has begun the latest attempt."""
        return self.start is not None and self.start.attempt == self.attempt

    @property
    def n_epochs(self) -> int | None:
        """How many epochs the run takes over all its phases; None before it has begun."""
        return self.provenance.epochs

    @property
    def last(self) -> EpochRecord | None:
        """The latest epoch; None before the first."""
        return self.epochs[-1] if self.epochs else None

    @property
    def state_on_record(self) -> State | None:
        """The state that the run's own last file means; None where it has not ended."""
        if self.done:
            return State.DONE
        return self.failure.kind.state if self.failure else None


def attempt_of(job: Job | None, start: Start | None) -> int:
    """How often a run was started; 0 before any."""
    return max(job.attempt if job else 0, start.attempt if start else 0)


def read_run(path: Path, spec: RunSpec | None = None) -> RunSnapshot:
    """Read the files of a run's folder; what is wrong with one is the snapshot's ``trouble``, and no error.

    Args:
        path: The folder, which need not be there.
        spec: What the experiment's file means by the run, where the run's own cannot be read.
    """
    if path.is_dir() and not may_read(path):
        return RunSnapshot(
            path=path, spec=spec, job=None, start=None, provenance=Provenance(), done=None, failure=None, epochs=(),
            trouble=f"{path}: may not be read; its owner opens it to others with chmod -R g+rX (and umask 027)",
        )  # fmt: skip
    trouble: list[str] = []
    done, failure = _read(Done, path, trouble), _read(Failure, path, trouble)  # first: what came before is then there
    job, start = _read(Job, path, trouble), _read(Start, path, trouble)
    provenance, journal = _read(Provenance, path, trouble) or Provenance(), _read_journal(path, trouble)
    attempt = attempt_of(job, start)
    done = done if done and attempt in (0, done.attempt) else None  # an older attempt may still have been dying
    failure = failure if failure and attempt in (0, failure.attempt) else None
    is_begun = any((job, start, done, failure, journal.lines, trouble))
    try:
        spec = read_spec(path)
    except ResultsError as error:
        trouble += [error.message.removeprefix(f"{path}/")] * is_begun
    epochs = _counted(path, journal, attempt, is_done=done is not None)
    phases = done.phases if done and done.phases is not None else provenance.phases
    wrong = journals.trouble_of(journal, epochs, phases=phases, n_epochs=provenance.epochs, is_done=done is not None)
    trouble += [f"{journals.NAME}: {wrong}"] * bool(wrong)
    return RunSnapshot(
        path=path,
        spec=spec,
        job=job,
        start=start,
        provenance=provenance,
        done=done,
        failure=failure,
        epochs=tuple(epochs),
        trouble=f"{trouble[0]}; {RunFile.REMEDY}" if trouble else "",
        n_redone=len(list((path / SUPERSEDED).glob("attempt-*"))),
    )


def may_read(folder: Path) -> bool:
    """Whether this user may read what is in a folder."""
    return os.access(folder, os.R_OK | os.X_OK)


def read_spec(path: Path) -> RunSpec:
    """Read what a run trains; raises ResultsError when the spec.json in its folder cannot be read."""
    try:
        return RunSpec.model_validate_json((path / SPEC).read_bytes())
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path / SPEC}: is no spec of a run: {str(error).splitlines()[0]}") from error


def _read(kind: type[File], path: Path, trouble: list[str]) -> File | None:
    try:
        return kind.read(path)
    except ResultsError as error:
        trouble.append(error.message.removeprefix(f"{path}/"))
        return None


def _read_journal(path: Path, trouble: list[str]) -> journals.Journal:
    try:
        return journals.read(path / journals.NAME)
    except OSError as error:
        trouble.append(f"{journals.NAME}: cannot be read: {reason(error)}")
        return journals.Journal()


def _counted(path: Path, journal: journals.Journal, attempt: int, *, is_done: bool) -> list[EpochRecord]:
    """The epochs that count.  Of an attempt that has written none yet, a checkpoint tells whether it goes on."""
    records = journal.records
    newest = max((record.attempt for record in records), default=0)
    if attempt > newest and not is_done and not any((path / name).exists() for name in (CHECKPOINT, PREVIOUS)):
        return []
    return journals.counted(records)
