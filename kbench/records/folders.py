"""Where every file of an experiment and of a run lives; nobody else joins paths."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.run_spec import RunSpec
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError, ResultsError
from kbench.records import journal as journals
from kbench.records.schema import EpochRecord


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
    def spec(self) -> RunSpec:
        """What the run trains; raises ResultsError when its spec.json cannot be read."""
        path = self.path / "spec.json"
        try:
            return RunSpec.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path}: is no spec of a run: {str(error).splitlines()[0]}") from error

    @property
    def job(self) -> dict[str, Any]:
        """How the run was last started: launcher, id, host, attempt; empty if it never was."""
        return read_json(self.path / "job.json")

    @property
    def start(self) -> dict[str, Any]:
        """How a scheduler's job last began the run: attempt, job id, nodes; empty without a scheduler, or before."""
        return read_json(self.path / "start.json")

    @property
    def attempt(self) -> int:
        """How often the run was started, the start that is asked for included; 0 before any."""
        return int(max(self.job.get("attempt", 0), self.start.get("attempt", 0)))

    @property
    def stop(self) -> Path:
        """A file that is there when the run has been told to end after its epoch."""
        return self.path / "stop"

    @property
    def alive(self) -> Path:
        """A file whose time is the last sign of life that a scheduler's job gave while it did the run."""
        return self.path / "alive"

    @property
    def provenance(self) -> dict[str, Any]:
        return read_json(self.path / "provenance.json")

    @property
    def n_epochs(self) -> int | None:
        """How many epochs the run takes over all its phases; None before it has begun."""
        return self.provenance.get("epochs")

    @property
    def done(self) -> dict[str, Any]:
        """What the run wrote when it was done; empty if it is not."""
        return self._last_words("done.json")

    @property
    def failed(self) -> dict[str, Any]:
        """Why the run failed; empty if it did not."""
        return self._last_words("failed.json")

    def _last_words(self, name: str) -> dict[str, Any]:
        """How the last attempt ended; an older one may still have been dying when it began."""
        end = read_json(self.path / name)
        if not end:
            return {}
        attempt = self.attempt
        return end if attempt in (0, end.get("attempt", attempt)) else {}

    def sibling(self, run_id: str) -> "RunDir":
        """The folder of another run of the same experiment."""
        return RunDir(self.path.parent / run_id)

    def prepare(self, spec: RunSpec) -> None:
        """Make the folder and write what is to be run."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "spec.json", spec.model_dump(mode="json"))

    def begin(self, job: dict[str, Any]) -> None:
        """Note how the run is started; what an earlier attempt said of its end is set aside."""
        self.forget_end()
        self.note_job(job)

    def forget_end(self) -> None:
        """Set aside what an earlier attempt said of its end, or was told."""
        for name in ("done.json", "failed.json", "stop"):
            (self.path / name).unlink(missing_ok=True)

    def note_start(self, start: dict[str, Any]) -> None:
        """Note how a scheduler's job begins the run."""
        write_json(self.path / "start.json", start)

    def note_job(self, job: dict[str, Any]) -> None:
        """Note what is known of the job by now."""
        write_json(self.path / "job.json", job)

    def finish(self, facts: dict[str, Any]) -> None:
        """Write done.json, the last file of a run that went well."""
        write_json(self.path / "done.json", facts)

    def fail(self, facts: dict[str, Any]) -> bool:
        """Write failed.json unless the run has ended already; the first rank to fail is heard.

        An attempt that another has taken over from is not heard.  Returns whether these facts are
        what is now on record.
        """
        if (self.path / "done.json").exists() or facts.get("attempt", self.attempt) < self.attempt:
            return False
        draft = self.path / f".failed.{os.getpid()}.json"
        write_json(draft, facts)
        try:
            os.link(draft, self.path / "failed.json")
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def correct(self, facts: dict[str, Any]) -> None:
        """Write failed.json for a run that is gone, in place of its own words; nothing where that is not allowed."""
        with suppress(OSError):
            write_json(self.path / "failed.json", facts)

    def progress(self) -> journals.Progress | None:
        """How far the run has come; None before its first epoch."""
        quick = journals.progress(self.journal) if self.attempt <= 1 else None
        if quick:
            return quick
        records = self.epochs()
        return journals.Progress(len(records), records[-1]) if records else None

    def epochs(self) -> list[EpochRecord]:
        """The epochs that count, in order, each once; what is no record counts not at all.

        Where there is a checkpoint, an attempt that went on counts from where it began, and those
        before it up to there; otherwise the last attempt alone counts.
        """
        records = journals.read(self.journal)
        last = self.attempt or max((r.attempt for r in records), default=0)
        return journals.counted(records if self.checkpoint.exists() else [r for r in records if r.attempt == last])


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
    def front(self) -> Path:
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

    def _order(self) -> dict[str, int]:
        """The place of each ``pair.strategy`` in the experiment's file."""
        try:
            spec = parse(ExperimentSpec, read_source(self.source))
        except ConfigError:  # not there, or damaged since: the runs tell all the same
            return {}
        named = [f"{pair.name}.{choice.label}" for pair in spec.pairs for choice in spec.strategies]
        return {name: place for place, name in enumerate(named)}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when there is no such file, or not all of it yet."""
    try:
        entry = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def write_json(path: Path, entry: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(entry, indent=1, default=str) + "\n")
    draft.replace(path)
