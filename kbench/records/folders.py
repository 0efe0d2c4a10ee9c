"""Where every file of an experiment and of a run lives, and who may write it; nobody else joins paths."""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kbench import files
from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.run_spec import RunSpec, expand
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError, ResultsError
from kbench.records import journal as journals
from kbench.records.hits import Hits
from kbench.records.run_files import Done, Failure, Job, Provenance, Start
from kbench.records.schema import EpochRecord
from kbench.records.snapshot import (
    CHECKPOINT,
    PREVIOUS,
    SPEC,
    SUPERSEDED,
    RunSnapshot,
    attempt_of,
    may_read,
    read_run,
    read_spec,
)

ATTEMPTS = "KBENCH_ATTEMPTS"  # in the environment of what trains runs
RESERVE_BYTES = 32_768  # room for a failure record, and for the last lines of the logs


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
        return self.path / journals.NAME

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def stop(self) -> Path:
        """A file that is there when the run has been told to end after its epoch."""
        return self.path / "stop"

    @property
    def turn(self) -> Path:
        """A file that is there while the run has its turn among the runs of its process."""
        return self.path / "turn"

    @property
    def last_step(self) -> Path:
        """A file whose time is that of the last batch that the ranks trained, but for some seconds."""
        return self.path / "step"

    @property
    def alive(self) -> Path:
        """A file whose time is the last sign of life that a scheduler's job gave while it did the run."""
        return self.path / "alive"

    @property
    def reserve(self) -> Path:
        """A file that holds nothing but room: where the disk is full, it goes, and the reason can be written."""
        return self.path / ".reserve"

    def sibling(self, run_id: str) -> "RunDir":
        """The folder of another run of the same experiment."""
        return RunDir(self.path.parent / run_id)

    def read(self, spec: RunSpec | None = None) -> RunSnapshot:
        """Read each file once; ``spec`` is what the experiment means by the run, where its own cannot be read."""
        return read_run(self.path, spec)

    def has_spec(self) -> bool:
        """Whether the run's folder is there, and says what the run trains."""
        return (self.path / SPEC).exists()

    def read_spec(self) -> RunSpec:
        """Read what the run trains; raises ResultsError when its spec.json cannot be read."""
        return read_spec(self.path)

    def read_prerequisite(self) -> "RunDir | None":
        """Read which run must be done before this one, and return its folder; None without one."""
        prerequisite = self.read_spec().prerequisite
        return self.sibling(prerequisite.run_id) if prerequisite else None

    def read_attempt(self) -> int:
        """Read how often the run was started, the start that is requested included; 0 before any."""
        return attempt_of(Job.read_if_whole(self.path), Start.read_if_whole(self.path))

    def take_attempt(self, at_least: int) -> int:
        """Take the number of an attempt; of several processes on any hosts, each gets another one."""
        taken = self.path / "attempts"
        taken.mkdir(exist_ok=True)
        attempt = at_least
        while not files.create(taken / str(attempt), f"{socket.gethostname()} {os.getpid()}\n"):
            attempt += 1
        return attempt

    def read_provenance(self) -> Provenance:
        """Read where the run was made; all is None where that is not on record."""
        return Provenance.read_if_whole(self.path) or Provenance()

    def is_done(self) -> bool:
        """Read whether the latest attempt wrote that it is done."""
        done = Done.read_if_whole(self.path)
        return done is not None and self.read_attempt() in (0, done.attempt)

    def has_end(self) -> bool:
        """Look whether an end of the run is on record, good or bad."""
        return any((self.path / name).exists() for name in (Done.NAME, Failure.NAME))

    def epochs(self) -> list[EpochRecord]:
        """Read the epochs that count, in order, each once."""
        return list(self.read().epochs)

    def prepare(self, spec: RunSpec) -> None:
        """Make the folder and write what is to be run."""
        self.path.mkdir(parents=True, exist_ok=True)
        files.write_json(self.path / SPEC, spec.model_dump(mode="json"))

    def begin(self, job: Job) -> None:
        """Note how the run is started; how an earlier attempt ended is forgotten.

        The records of a damaged run are set aside in a folder, and its checkpoint is removed: it begins anew.
        """
        if self.read().trouble:
            aside = self.path / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
            aside.mkdir()
            for name in (Job.NAME, Start.NAME, Provenance.NAME, Done.NAME, Failure.NAME, Hits.NAME, journals.NAME):
                with suppress(FileNotFoundError):
                    (self.path / name).rename(aside / name)
            self._remove_checkpoints()
        self.forget_end()
        job.write(self.path)

    def supersede(self) -> Path:
        """Keep the record of a run that is done apart, so that it begins again; returns where it is kept.

        How it was started is left here as well: the next attempt has the next number.
        """
        aside = self.path / SUPERSEDED / f"attempt-{self.read_attempt()}"
        aside.mkdir(parents=True, exist_ok=True)
        for name in (Job.NAME, Start.NAME):
            with suppress(FileNotFoundError):
                shutil.copy2(self.path / name, aside / name)
        self._remove_checkpoints()  # first: a run that is not done would go on from it
        records = (Done.NAME, journals.NAME, Hits.NAME, Provenance.NAME, Failure.NAME)
        for name in (*records, self.stdout.name, self.stderr.name):
            with suppress(FileNotFoundError):
                (self.path / name).rename(aside / name)
        return aside

    def forget_end(self) -> None:
        """Set aside what an earlier attempt said of its end, or was told."""
        for name in (Done.NAME, Failure.NAME, "stop", "turn"):
            (self.path / name).unlink(missing_ok=True)

    def finish(self, done: Done) -> None:
        """Write done.json, the last file of a run that went well."""
        self.reserve.unlink(missing_ok=True)
        done.write(self.path)
        (self.path / PREVIOUS).unlink(missing_ok=True)

    def _remove_checkpoints(self) -> None:
        self.checkpoint.unlink(missing_ok=True)
        (self.path / PREVIOUS).unlink(missing_ok=True)

    def fail(self, failure: Failure) -> bool:
        """Write failed.json unless the run has ended already; the first rank to fail is heard.

        An attempt that another has taken over from is not heard.  Returns whether this failure is
        what is now on record.
        """
        if (self.path / Done.NAME).exists() or failure.attempt < self.read_attempt():
            return False
        self.reserve.unlink(missing_ok=True)
        return files.create(self.path / Failure.NAME, failure.text)

    def reserve_room(self) -> None:
        """Take the room that the record of a failure will need; raises ResultsError where there is none."""
        files.write(self.reserve, os.urandom(RESERVE_BYTES))  # nothing that a file system can compress

    def correct(self, failure: Failure) -> None:
        """Write failed.json for a run that is gone, in place of its own; nothing where that is not allowed."""
        with suppress(OSError, ResultsError):
            self.reserve.unlink(missing_ok=True)
            failure.write(self.path)


def attempts_variable(attempts: Sequence[int]) -> dict[str, str]:
    """The variable that hands on which attempts of some runs a process is, in the order of its arguments.

    The folders of the runs would not do: another job that begins them changes what they say.
    """
    return {ATTEMPTS: ",".join(map(str, attempts))}


def begun_attempts(runs: Sequence[RunDir], environ: Mapping[str, str] = os.environ) -> dict[RunDir, int]:
    """Which attempts this process is to make, by what began them.

    Where the variable did not come along, as on other hosts of mpirun and in some containers, the folders tell.
    """
    numbers = [int(word) for word in environ.get(ATTEMPTS, "").split(",") if word.isdecimal()]
    if len(numbers) != len(runs):
        numbers = [run.read_attempt() or 1 for run in runs]
    return dict(zip(runs, numbers, strict=True))


@dataclass(frozen=True)
class ExperimentDir:
    """The folder of one experiment: results/<name>/."""

    path: Path

    @property
    def source(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def looks(self) -> Path:
        return self.path / "looks.jsonl"

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
        """The folders of runs that are there, in the order of the experiment's file."""
        yield from (run for run in self._runs() if run.has_spec())

    def read(self) -> list[RunSnapshot]:
        """Read all runs, those that the experiment means and that have no folder too; each file once."""
        return [run.read(spec) for run, spec in self._runs().items()]

    def read_experiment(self) -> ExperimentSpec | None:
        """Read what was submitted; None where that is not there.  Raises ConfigError where it is damaged."""
        return parse(ExperimentSpec, read_source(self.source)) if self.source.exists() else None

    def source_problem(self) -> str:
        """Say what is wrong with the experiment's file; empty where nothing is, or where there is none."""
        try:
            self.read_experiment()
        except ConfigError as error:
            return error.sentences[0]
        return ""

    def _runs(self) -> dict[RunDir, RunSpec | None]:
        """All runs, in the order of the experiment's file, and what that means by those that have no folder."""
        started = [spec.parent for spec in self.runs_folder.glob(f"*/{SPEC}")]
        closed = [path for path in self.runs_folder.glob("*.s*.*") if path.is_dir() and not may_read(path)]
        there: dict[RunDir, RunSpec | None] = dict.fromkeys(map(RunDir, [*started, *closed]))
        try:
            experiment = self.read_experiment()
        except ConfigError:  # whoever needs it says so; the runs are there all the same
            experiment = None
        if experiment is None:
            return dict.fromkeys(sorted(there, key=lambda run: run.run_id))
        absent = _runs_without_folder(experiment, [run.path for run in there])
        every = there | {self.run(run_id): spec for run_id, spec in absent.items()}
        named = [f"{pair.name}.{choice.label}" for pair in experiment.pairs for choice in experiment.strategies]
        place = {name: place for place, name in enumerate(named)}
        ordered = sorted(every, key=lambda run: (place.get(_seedless(run), len(place)), run.run_id))
        return {run: every[run] for run in ordered}


def _seedless(run: RunDir) -> str:
    """The ``pair.strategy`` of a run."""
    return run.run_id.rpartition(".s")[0]


def _runs_without_folder(experiment: ExperimentSpec, folders: Sequence[Path]) -> dict[str, RunSpec]:
    """Find the runs that an experiment means and that have no folder, by their names.

    The hash at the end of a name needs the registry of strategies, or the spec of another seed; where no seed was
    ever begun, the name goes without.  The experiment's file does not tell the ranks: runs of the pair do, or else
    any run.
    """
    seeds = {folder.name.rpartition(".")[0] for folder in folders}
    examples = {folder.name.rpartition(".s")[0]: folder for folder in reversed(folders)}
    known = {name: spec for name, folder in examples.items() if (spec := _readable_spec(folder))}
    ranks = {spec.pair.name: spec.ranks for spec in known.values()}
    usual = next(iter(ranks.values()), 1)
    found = {}
    for spec in expand(experiment, ranks=usual):
        name = f"{spec.pair.name}.{spec.strategy.label}"
        if f"{name}.s{spec.seed}" in seeds:
            continue
        if name in known:
            spec = known[name].model_copy(update={"seed": spec.seed})
            found[spec.run_id] = spec
        else:
            spec = spec.model_copy(update={"ranks": ranks.get(spec.pair.name, usual)})
            found[f"{name}.s{spec.seed}"] = spec
    return found


def _readable_spec(folder: Path) -> RunSpec | None:
    try:
        return read_spec(folder)
    except ResultsError:
        return None
