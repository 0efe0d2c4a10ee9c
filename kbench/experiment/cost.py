"""What the runs that are left will cost, judged by those of the same pair that have run."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from kbench.config.run_spec import RunSpec
from kbench.config.site import Site
from kbench.records.folders import RunDir
from kbench.records.run_state import State

ENOUGH = 3  # runs of a kind whose epochs are read


def node_hours(runs: Sequence[RunDir], specs: Sequence[RunSpec], found: Sequence[State], site: Site) -> float | None:
    """What the epochs that are left will take, training and evaluation; None where no pair's epoch is known.

    A run is judged by runs of the same strategy on the same pair, else by others on that pair.
    """
    known = _epoch_s(runs, found)
    left_s = 0.0
    for run, spec, state in zip(runs, specs, found, strict=True):
        if state is State.DONE:
            continue
        of_pair = [mean for (pair, _), mean in known.items() if pair == spec.pair.name]
        if not of_pair:
            return None
        epoch_s = known.get((spec.pair.name, spec.strategy.label), fmean(of_pair))
        seen = run.read()
        left_s += epoch_s * max(0, (seen.n_epochs or spec.pair.recipe.epochs) - len(seen.epochs))
    return left_s * site.nodes / 3600


def bound(runs: Sequence[RunDir], found: Sequence[State], site: Site, *, groups: int) -> float | None:
    """What they cannot go beyond without being queued again: a job each, by the time limit."""
    if site.time_limit_s is None or all(state is State.DONE for state in found):
        return None
    return groups * site.time_limit_s * site.nodes / 3600


def _epoch_s(runs: Sequence[RunDir], found: Sequence[State]) -> dict[tuple[str, str], float]:
    """Seconds of an epoch by pair and strategy."""
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run, state in zip(runs, found, strict=True):
        if state is State.MISSING:
            continue
        spec = run.read_spec()
        mine = seen[spec.pair.name, spec.strategy.label]
        records = run.epochs() if len(mine) < ENOUGH else []
        if records:
            mine.append(fmean(record.train_s + record.eval_s for record in records))
    return {key: fmean(values) for key, values in seen.items() if values}
