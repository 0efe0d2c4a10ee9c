"""Train runs again that are done: their record is kept apart, and the next attempt begins with the first epoch."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from kbench.config.parse import did_you_mean
from kbench.config.run_spec import RunSpec
from kbench.errors import ConfigError
from kbench.records.folders import ExperimentDir, RunDir


def matching(runs: Sequence[RunSpec], patterns: Sequence[str]) -> list[RunSpec]:
    """Find the runs that ``--redo`` names.

    Args:
        runs: Those that are requested.
        patterns: Each a run's id, the id without its hash, or a strategy's label; ``*`` and ``?`` stand for more.

    Raises:
        ConfigError: A pattern fits none of the runs.
    """
    unknown = [pattern for pattern in patterns if not any(_fits(run, pattern) for run in runs)]
    if unknown:
        names = [name for run in runs for name in _names(run)]
        raise ConfigError(
            (f"--redo {name}: no run that is asked for{did_you_mean(name, names)}" for name in unknown),
            hint="kbench status lists the runs; a pattern ('kakurenbo', '*.s0.*') names several",
        )
    return [run for run in runs if any(_fits(run, pattern) for pattern in patterns)]


def set_aside(folder: ExperimentDir, runs: Sequence[RunSpec], log: Callable[[str], None]) -> list[RunDir]:
    """Keep the records of those of ``runs`` that are done apart; the runs are then to be started.

    Whoever calls this holds the experiment's folder.
    """
    aside = []
    for run in (folder.run(spec.run_id) for spec in runs):
        if not run.is_done():
            log(f"{run.run_id} is not done: there is nothing to train again")
            continue
        place = run.supersede()
        log(f"{run.run_id} is trained again; its record so far is in {place}")
        aside.append(run)
    return aside


def _fits(run: RunSpec, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in _names(run))


def _names(run: RunSpec) -> tuple[str, str, str]:
    return run.run_id, run.run_id.rpartition(".")[0], run.strategy.label
