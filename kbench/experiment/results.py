"""Find the results of an experiment or of a run by name, and gather them when journals are newer."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kbench.config.lookup import find
from kbench.config.parse import did_you_mean
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError, ResultsError
from kbench.experiment.status import StatusMonitor
from kbench.records import store
from kbench.records.folders import ExperimentDir, RunDir


def find_results(name: str, results: Path) -> ExperimentDir:
    """Find the results of an experiment: a name below ``results``, or the file that was run.

    Raises ResultsError when there are none.
    """
    direct = ExperimentDir(results / name)
    if "/" not in name and not name.endswith(".yaml") and (direct.path / "runs").is_dir():
        return direct
    there = [path.parent.name for path in results.glob("*/runs")]
    try:
        named = read_source(find(name, "configs", ".yaml", "experiment")).tree
        folder = ExperimentDir(results / str(named["name"]))
    except (ConfigError, KeyError, TypeError):
        folder = direct
    if not (folder.path / "runs").is_dir():
        raise ResultsError(
            f"{results}: holds no results of {name!r}{did_you_mean(name, there)}",
            hint=f"kbench run {name} makes them; --results or KBENCH_RESULTS say where they lie",
        )
    return folder


def find_run(part: str, results: Path) -> RunDir:
    """Find the run whose ``experiment/run_id`` has ``part`` in it; raises ResultsError unless it is one."""
    every = {f"{spec.parts[-4]}/{spec.parts[-2]}": RunDir(spec.parent) for spec in results.glob("*/runs/*/spec.json")}
    found = {name: run for name, run in sorted(every.items()) if part in name}
    if not found:
        raise ResultsError(f"{results}: no run has {part!r} in its name", hint="kbench status lists the runs")
    if len(found) > 1:
        some = ", ".join(list(found)[:4]) + (", ..." if len(found) > 4 else "")
        raise ResultsError(f"{part!r} fits {len(found)} runs: {some}", hint="give more of the name")
    return next(iter(found.values()))


def gather(folder: ExperimentDir) -> tuple[int, int]:
    """Write epochs.parquet and runs.parquet anew; returns how many rows each has.  Raises ResultsError."""
    return store.gather(folder, StatusMonitor(folder).state_of)


def gathered(name: str, results: Path) -> store.Tables:
    """Find the results of an experiment, and gather them when journals are newer.  Raises ResultsError."""
    folder = find_results(name, results)
    return store.tables(folder, StatusMonitor(folder).state_of)


def writable(place: Path, here: str) -> tuple[Path, str]:
    """Find where to write what belongs among results: there, or in the current folder where they are read-only.

    Args:
        place: The file or folder among the results.
        here: Its name in the current folder.

    Returns:
        The path, and a sentence where it is not ``place``.
    """
    nearest = next(path for path in [place, *place.absolute().parents] if path.exists())
    if os.access(nearest, os.W_OK):
        return place, ""
    return Path(here), f"{nearest} cannot be written to; {here} is in the current folder"


@dataclass(frozen=True)
class ComparisonPlan:
    """What an experiment's file says about comparing its results."""

    baseline: str = "baseline"
    targets: tuple[str, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)  # [fraction] by pair
    looks: tuple[int, ...] = ()
    seeds: tuple[int, ...] | None = None  # None: there is no file


def comparison_plan(folder: ExperimentDir) -> ComparisonPlan:
    """Read what an experiment's file says about comparing its results."""
    spec = folder.read_experiment()
    if spec is None:
        return ComparisonPlan()
    margins = {pair.name: pair.margin / 100 for pair in spec.pairs if pair.margin is not None}
    return ComparisonPlan(spec.baseline, spec.target_texts, margins, spec.looks, spec.seeds)
