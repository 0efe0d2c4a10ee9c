"""Train runs again that are done: their record is kept apart, and the next attempt begins with the first epoch."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from kbench.config.parse import did_you_mean
from kbench.config.run_spec import RunSpec
from kbench.errors import ConfigError
from kbench.records.disturbance import disturbed_runs
from kbench.records.folders import ExperimentDir, RunDir

DISTURBED = "disturbed"


def matching(runs: Sequence[RunSpec], patterns: Sequence[str], folder: ExperimentDir) -> list[RunSpec]:
    """Find the runs that ``--redo`` names.

    Args:
        runs: Those that are requested.
        patterns: Each a run's id, the id without its hash, or a strategy's label; ``*`` and ``?`` stand for more.
            ``disturbed`` stands for the runs whose surroundings disturbed them.
        folder: Where the experiment's runs lie.

    Raises:
        ConfigError: A pattern fits none of the runs; that no run was disturbed is no mistake.
    """
    wanted = [pattern for pattern in patterns if pattern != DISTURBED]
    if unknown := [pattern for pattern in wanted if not any(_fits(run, pattern) for run in runs)]:
        names = [name for run in runs for name in _names(run)]
        raise ConfigError(
            (f"--redo {name}: no run that is asked for{did_you_mean(name, names)}" for name in unknown),
            hint="kbench status lists the runs; a pattern ('kakurenbo', '*.s0.*') names several",
        )
    disturbed = disturbed_runs(folder.read()) if DISTURBED in patterns else {}
    return [run for run in runs if run.run_id in disturbed or any(_fits(run, pattern) for pattern in wanted)]


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
