"""A results folder belongs to one experiment; what stands there must never mean two things."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.records import imported
from kbench.records.folders import ExperimentDir


def check(folder: ExperimentDir, runs: Sequence[RunSpec]) -> None:
    """Make sure that ``runs`` may join what the folder holds; nothing is written.

    More seeds, strategies and pairs may join.  Raises ResultsError when a pair or a strategy's
    label stands for something else there, logs of others that were imported included, or when the
    folder cannot be written.
    """
    _check_writable(folder.path)
    for known in (imported.read(run).identity for run in imported.runs(folder)):
        if any((known["pair"], known["strategy"]) == (new.pair.name, new.strategy.label) for new in runs):
            raise ResultsError(
                f"{folder.path}: holds imported runs of {known['strategy']} on {known['pair']}; yours would be "
                "averaged with them",
                hint=f"give your experiment another name (--set name={runs[0].experiment}-2)",
            )
    for there in _specs(folder):
        for new in runs:
            difference = _clash(there, new)
            if difference:
                raise ResultsError(
                    f"{folder.path}: holds another experiment named {new.experiment!r}: {difference}",
                    hint=f"give yours another name (--set name={new.experiment}-2), or name another --results",
                )


def make(folder: ExperimentDir) -> None:
    """Make the folder; raises ResultsError where it cannot be made."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"{folder.path}: cannot be written: {files.reason(error)}") from error


def register_runs(folder: ExperimentDir, runs: Sequence[RunSpec], text: str) -> None:
    """Make the folders of ``runs`` and keep the experiment's file as it was submitted."""
    make(folder)
    try:
        files.write(folder.source, text)
        for run in runs:
            folder.run(run.run_id).prepare(run)
    except OSError as error:
        raise ResultsError(f"{folder.path}: cannot be written: {files.reason(error)}") from error


def _specs(folder: ExperimentDir) -> Iterator[RunSpec]:
    """What the runs of a folder train; one whose spec.json cannot be read is damaged, and says so elsewhere."""
    for run in folder.all_runs():
        with suppress(ResultsError):
            yield run.read_spec()


def _clash(there: RunSpec, new: RunSpec) -> str:
    """What one name stands for in both, differently; empty when nothing does."""
    if there.pair.name == new.pair.name:
        if there.ranks != new.ranks:
            return f"{there.ranks} ranks there, {new.ranks} here"
        if there.content["pair"] != new.content["pair"]:
            return f"pair {new.pair.name}: {_first_difference(there.content['pair'], new.content['pair'])}"
        if there.schema_version != new.schema_version:
            return f"made by a kbench of schema {there.schema_version}, this one has {new.schema_version}"
    if there.strategy.label == new.strategy.label and there.method != new.method:
        difference = _first_difference(there.method, new.method)
        return f"strategy {new.strategy.label}: {difference}"
    return ""


def _first_difference(there: Any, here: Any, key: str = "") -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        for name in [*there, *(k for k in here if k not in there)]:
            if there.get(name) != here.get(name):
                return _first_difference(there.get(name), here.get(name), f"{key}.{name}".lstrip("."))
    return f"{key} is {there!r} there, {here!r} here"


def _check_writable(path: Path) -> None:
    nearest = next(p for p in [path, *path.absolute().parents] if p.exists())
    if not nearest.is_dir():
        raise ResultsError(f"{nearest}: is a file, wanted a folder for results", hint="name another --results")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ResultsError(f"{nearest}: cannot be written", hint="name another --results, or set KBENCH_RESULTS")
