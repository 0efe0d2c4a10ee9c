"""Where every file of an experiment and of a run lives, and who may write it; nobody else joins paths."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kbench import files
from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.run_spec import RunSpec
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError, ResultsError
from kbench.records import journal as journals
from kbench.records.run_files import Done, Failure, Job, Provenance, RunFile, RunSnapshot, Start, attempt_of
from kbench.records.schema import EpochRecord

File = TypeVar("File", bound=RunFile)


@dataclass(frozen=True)
class RunDir:
    """The folder of one run."""

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def script(self) -> Path:
        return self.path / "job.sh"

    @property
    def stdout(self) -> Path:
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        return self.path / "stderr.log"

    @property
    def journal(self) -> Path:
        return self.path / "epochs.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def stop(self) -> Path:
        """A file that is there when the run has been told to end after its epoch."""
        return self.path / "stop"

    @property
    def alive(self) -> Path:
        """A file whose time is the last sign of life that a scheduler's job gave while it did the run."""
        return self.path / "alive"

    def sibling(self, run_id: str) -> "RunDir":
        """The folder of another run of the same experiment."""
        return RunDir(self.path.parent / run_id)

    def read(self) -> RunSnapshot:
        """Read each file once; what cannot be read is the snapshot's ``trouble``, and no error.

        The end is read first: what a run wrote before its end is then there.
        """
        trouble: list[str] = []
        done, failure = self._read(Done, trouble), self._read(Failure, trouble)
        job, start = self._read(Job, trouble), self._read(Start, trouble)
        provenance, spec, attempt = self._read(Provenance, trouble), None, attempt_of(job, start)
        try:
            spec = self.read_spec()
        except ResultsError as error:
            trouble += [error.message] * any((job, start, done, failure))
        return RunSnapshot(
            path=self.path,
            spec=spec,
            job=job,
            start=start,
            provenance=provenance or Provenance(),
            done=done if done and attempt in (0, done.attempt) else None,  # an older attempt may still have been dying
            failure=failure if failure and attempt in (0, failure.attempt) else None,
            epochs=tuple(self._epochs(attempt)),
            trouble="; ".join(trouble[:1]),
        )

    def _read(self, kind: type[File], trouble: list[str]) -> File | None:
        try:
            return kind.read(self.path)
        except ResultsError as error:
            trouble.append(error.message)
            return None

    def read_spec(self) -> RunSpec:
        """Read what the run trains; raises ResultsError when its spec.json cannot be read."""
        path = self.path / "spec.json"
        try:
            return RunSpec.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path}: is no spec of a run: {str(error).splitlines()[0]}") from error

    def read_provenance(self) -> Provenance:
        """Read where the run was made; all is None where that is not on record."""
        return self._read(Provenance, []) or Provenance()

    def read_attempt(self) -> int:
        """Read how often the run was started, the start that is requested included; 0 before any."""
        return attempt_of(self._read(Job, []), self._read(Start, []))

    def is_done(self) -> bool:
        """Read whether the latest attempt wrote that it is done."""
        done = self._read(Done, [])
        return done is not None and self.read_attempt() in (0, done.attempt)

    def epochs(self) -> list[EpochRecord]:
        """Read the epochs that count, in order, each once; what is no record counts not at all.

        Where there is a checkpoint, an attempt that went on counts from where it began, and those
        before it up to there; otherwise the last attempt alone counts.
        """
        return self._epochs(self.read_attempt())

    def _epochs(self, attempt: int) -> list[EpochRecord]:
        records = journals.read(self.journal)
        last = attempt or max((r.attempt for r in records), default=0)
        return journals.counted(records if self.checkpoint.exists() else [r for r in records if r.attempt == last])

    def prepare(self, spec: RunSpec) -> None:
        """Make the folder and write what is to be run."""
        self.path.mkdir(parents=True, exist_ok=True)
        files.write_json(self.path / "spec.json", spec.model_dump(mode="json"))

    def begin(self, job: Job) -> None:
        """Note how the run is started; what an earlier attempt said of its end is set aside."""
        self.forget_end()
        job.write(self.path)

    def forget_end(self) -> None:
        """Set aside what an earlier attempt said of its end, or was told."""
        for name in (Done.NAME, Failure.NAME, "stop"):
            (self.path / name).unlink(missing_ok=True)

    def finish(self, done: Done) -> None:
        """Write done.json, the last file of a run that went well."""
        done.write(self.path)

    def fail(self, failure: Failure) -> bool:
        """Write failed.json unless the run has ended already; the first rank to fail is heard.

        An attempt that another has taken over from is not heard.  Returns whether this failure is
        what is now on record.
        """
        if (self.path / Done.NAME).exists() or failure.attempt < self.read_attempt():
            return False
        return files.create(self.path / Failure.NAME, failure.text)

    def correct(self, failure: Failure) -> None:
        """Write failed.json for a run that is gone, in place of its own; nothing where that is not allowed."""
        with suppress(OSError, ResultsError):
            failure.write(self.path)


@dataclass(frozen=True)
class ExperimentDir:
    """The folder of one experiment: results/<name>/."""

    path: Path

    @property
    def source(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def driver(self) -> Path:
        """Names the process that starts runs here, while there is one."""
        return self.path / "front.json"

    @property
    def epochs(self) -> Path:
        return self.path / "epochs.parquet"

    @property
    def runs(self) -> Path:
        return self.path / "runs.parquet"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def exports(self) -> Path:
        """Where kbench export writes unless told otherwise."""
        return self.path / "export"

    @property
    def report(self) -> Path:
        """The page that kbench report writes."""
        return self.path / "report.html"

    @property
    def runs_folder(self) -> Path:
        """Where the folders of the runs lie."""
        return self.path / "runs"

    def job_script(self, token: str) -> Path:
        """The script that was handed to a scheduler under a name."""
        return self.path / "jobs" / f"{token}.sh"

    def run(self, run_id: str) -> RunDir:
        """The folder of the run ``run_id``, whether it is there or not."""
        return RunDir(self.runs_folder / run_id)

    def all_runs(self) -> Iterator[RunDir]:
        """The folders of all runs that have a spec, in the order of the experiment's file."""
        found = [RunDir(spec.parent) for spec in sorted(self.runs_folder.glob("*/spec.json"))]
        order = self._order()
        yield from sorted(found, key=lambda run: order.get(run.run_id.rpartition(".s")[0], len(order)))

    def read(self) -> list[RunSnapshot]:
        """Read the folders of all runs, each once, in the order of the experiment's file."""
        return [run.read() for run in self.all_runs()]

    def _order(self) -> dict[str, int]:
        """The place of each ``pair.strategy`` in the experiment's file."""
        try:
            spec = parse(ExperimentSpec, read_source(self.source))
        except ConfigError:  # not there, or damaged since: the runs tell all the same
            return {}
        named = [f"{pair.name}.{choice.label}" for pair in spec.pairs for choice in spec.strategies]
        return {name: place for place, name in enumerate(named)}
