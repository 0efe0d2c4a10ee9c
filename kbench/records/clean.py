"""What an experiment's folder no longer needs: checkpoints of runs that are done, drafts of killed writers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kbench import files
from kbench.errors import ResultsError
from kbench.records.folders import ExperimentDir
from kbench.records.run_state import State
from kbench.records.snapshot import CHECKPOINT, PREVIOUS, RunSnapshot


@dataclass(frozen=True)
class Needless:
    """A file that nothing needs any more."""

    path: Path
    n_bytes: int
    why: str


def needless(folder: ExperimentDir, state_of: Callable[[RunSnapshot], str]) -> list[Needless]:
    """Find what may go.

    Kept are checkpoints of runs that are not done, and of those that runs which are not done begin with.
    """
    runs = [(run, state_of(run)) for run in folder.read()]
    wanted = {
        run.spec.prerequisite.run_id
        for run, state in runs
        if state != State.DONE and run.spec and run.spec.upstream and run.spec.prerequisite
    }
    found = []
    for run, state in runs:
        if state == State.DONE and run.run_id not in wanted:
            found += list(_there((run.path / name for name in (CHECKPOINT, PREVIOUS)), "its run is done"))
    drafts = (draft for place in [folder.path, *_folders(folder.path)] for draft in files.dead_drafts(place / "*"))
    return [*found, *_there(drafts, "a killed writer left it")]


def remove(found: Iterable[Needless]) -> None:
    """Remove what was found.  Raises ResultsError that names what cannot be."""
    for each in found:
        try:
            files.remove(each.path)
        except OSError as error:
            raise ResultsError(f"{each.path}: cannot be removed: {files.reason(error)}") from error


def _folders(path: Path) -> Iterator[Path]:
    yield from (place for place in sorted(path.rglob("*")) if place.is_dir() and not place.is_symlink())


def _there(paths: Iterable[Path], why: str) -> Iterator[Needless]:
    for path in paths:
        with suppress(OSError):
            sizes = [path, *path.rglob("*")] if path.is_dir() else [path]
            yield Needless(path, sum(each.lstat().st_size for each in sizes if not each.is_dir()), why)
