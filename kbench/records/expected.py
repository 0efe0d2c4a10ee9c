"""The runs that an experiment's file means, held against the folders that are there."""

from collections.abc import Sequence
from pathlib import Path

from kbench.config.experiment import ExperimentSpec
from kbench.config.run_spec import RunSpec, expand
from kbench.errors import ResultsError
from kbench.records.snapshot import read_spec


def runs_without_folder(experiment: ExperimentSpec, folders: Sequence[Path]) -> dict[str, RunSpec]:
    """Find the runs that an experiment means and that have no folder, by their names.

    The hash at the end of a name needs the registry of strategies, or the spec of another seed; where no seed was
    ever begun, the name goes without.  The experiment's file does not tell the ranks: runs of the pair do, or else
    any run.
    """
    seeds = {folder.name.rpartition(".")[0] for folder in folders}
    examples = {folder.name.rpartition(".s")[0]: folder for folder in reversed(folders)}
    known = {name: spec for name, folder in examples.items() if (spec := _readable(folder))}
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


def _readable(folder: Path) -> RunSpec | None:
    try:
        return read_spec(folder)
    except ResultsError:
        return None
