"""Bring results of one experiment from two machines together: what differs under one name is named, not averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kbench import files
from kbench.errors import ConfigError, ResultsError
from kbench.records import bundle, imported, register
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.looks import read_looks
from kbench.records.run_files import Done, Failure
from kbench.records.snapshot import SPEC

RECORDS = (SPEC, "epochs.jsonl", Done.NAME, Failure.NAME, imported.NAME)  # what makes two runs of one name the same


@dataclass(frozen=True)
class Merge:
    """What of ``source`` is new for ``target``, what is there already, what contradicts it, and what is to be known."""

    target: ExperimentDir
    source: ExperimentDir
    new: tuple[str, ...]  # ids of runs
    same: tuple[str, ...]
    conflicts: tuple[str, ...]  # sentences
    notes: tuple[str, ...]


def compare_folders(target: ExperimentDir, source: ExperimentDir) -> Merge:
    """Find out what a merge would do; nothing is written.  Raises ResultsError where a folder holds no runs."""
    for folder in (target, source):
        if not folder.runs_folder.is_dir():
            raise ResultsError(f"{folder.path}: holds no runs", hint="name the folder of an experiment among results")
    local, remote = _runs(target), _runs(source)
    new = [run_id for run_id in remote if run_id not in local]
    both = [run_id for run_id in remote if run_id in local]
    differing = {run_id: _difference(local[run_id], remote[run_id]) for run_id in both}
    conflicts = [f"{run_id}: {what}" for run_id, what in differing.items() if what]
    conflicts += _contradictions(target, source, new)
    return Merge(
        target,
        source,
        tuple(new),
        tuple(run_id for run_id, what in differing.items() if not what),
        tuple(conflicts),
        tuple(_notes(target, source)),
    )


def merge(found: Merge) -> None:
    """Copy the new runs, and the looks, into the target.  Raises ResultsError where there is a conflict."""
    if found.conflicts:
        raise ResultsError(f"{found.conflicts[0]}", hint="remove the folder of the run that is not to be kept")
    for run_id in found.new:
        bundle.copy_run(found.source.run(run_id).path, found.target.run(run_id).path)
    known = read_looks(found.target)
    for look in read_looks(found.source):
        if look not in known:
            files.append(found.target.looks, look.model_dump(mode="json"))


def _runs(folder: ExperimentDir) -> dict[str, RunDir]:
    found = [*folder.all_runs(), *imported.runs(folder)]
    return {run.run_id: run for run in found}


def _difference(here: RunDir, there: RunDir) -> str:
    """How two runs of one name differ; empty where they do not."""
    for name in RECORDS:
        one, other = _content(here.path / name), _content(there.path / name)
        if one != other:
            if one is None or other is None:
                missing = here if one is None else there
                return f"{name} is not in {missing.path}, and is in the other"
            return f"{name} differs between {here.path} and {there.path}"
    return ""


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {files.reason(error)}") from error


def _contradictions(target: ExperimentDir, source: ExperimentDir, new: Sequence[str]) -> list[str]:
    """New runs whose pair or label means something else in the target."""
    found = []
    measured = {run.run_id for run in source.all_runs()}
    for run_id in new:
        try:
            if run_id in measured:
                register.check(target, [source.run(run_id).read_spec()])
            elif clash := _is_measured(target, run_id):
                found.append(f"{run_id}: is imported, and {clash} was measured")
        except ResultsError as error:
            found.append(f"{run_id}: {error.message}")
    return found


def _is_measured(target: ExperimentDir, run_id: str) -> str:
    """A measured run of the same pair and strategy; empty where there is none."""
    name = run_id.rpartition(".s")[0]
    return next((run.run_id for run in target.all_runs() if run.run_id.rpartition(".s")[0] == name), "")


def _notes(target: ExperimentDir, source: ExperimentDir) -> list[str]:
    notes = []
    try:
        one, other = target.read_experiment(), source.read_experiment()
    except ConfigError as error:
        return [f"{error.sentences[0]}; the experiment's file of {target.path} stays"]
    if one and other and one != other:
        keys = [key for key in type(one).model_fields if getattr(one, key) != getattr(other, key)]
        notes.append(f"{target.source} stays; the other one has other {', '.join(keys)}")
    if target.path.name != source.path.name:
        notes.append(f"{source.path.name} joins {target.path.name}")
    return notes
