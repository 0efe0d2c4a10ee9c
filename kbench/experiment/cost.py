"""Node-hours: what the runs that are left will cost, and what finished ones took."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from kbench.config.experiment import ExperimentSpec
from kbench.config.run_spec import RunSpec
from kbench.config.site import Site
from kbench.experiment.plan import Plan
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_state import State

ENOUGH = 3  # runs of a kind whose epochs are read


@dataclass(frozen=True)
class Cost:
    """Node-hours of what is left to do."""

    text: str  # for people
    node_hours: float | None  # None: nothing is known


def cost_of(plan: Plan, states: Sequence[State]) -> Cost:
    """Estimate what the runs of a plan that are not done will cost; ``states`` are theirs."""
    hours = node_hours(plan.run_dirs, plan.runs, states, plan.site)
    if hours is not None:
        return Cost(f"node-hours: about {hours:.2g} to go", hours)
    n_jobs = len({spec.match_key for spec in plan.runs}) if plan.is_paired else len(plan.runs)
    most = time_limit_node_hours(states, plan.site, n_jobs=n_jobs)
    if most is not None:
        return Cost(f"node-hours: at most {most:.3g} by the time limit; more is known when an epoch has been run", most)
    return Cost("node-hours: unknown before an epoch of each pair has been run", None)


def node_hours(runs: Sequence[RunDir], specs: Sequence[RunSpec], states: Sequence[State], site: Site) -> float | None:
    """Estimate the node-hours of the epochs that are left, with evaluation; None where a pair has no epoch yet.

    A run is judged by runs of the same strategy on the same pair, else by others on that pair.
    """
    known = _epoch_s(runs, states)
    left_s = 0.0
    for run, spec, state in zip(runs, specs, states, strict=True):
        if state is State.DONE:
            continue
        of_pair = [mean for (pair, _), mean in known.items() if pair == spec.pair.name]
        if not of_pair:
            return None
        epoch_s = known.get((spec.pair.name, spec.strategy.label), fmean(of_pair))
        seen = run.read()
        left_s += epoch_s * max(0, (seen.n_epochs or spec.pair.recipe.epochs) - len(seen.epochs))
    return left_s * site.nodes / 3600


def time_limit_node_hours(states: Sequence[State], site: Site, *, n_jobs: int) -> float | None:
    """The most node-hours that jobs can take by their time limit, without being queued again."""
    if site.time_limit_s is None or all(state is State.DONE for state in states):
        return None
    return n_jobs * site.time_limit_s * site.nodes / 3600


def _epoch_s(runs: Sequence[RunDir], states: Sequence[State]) -> dict[tuple[str, str], float]:
    """Mean seconds of an epoch, by pair and strategy."""
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run, state in zip(runs, states, strict=True):
        if state is State.MISSING:
            continue
        spec = run.read_spec()
        known = seen[spec.pair.name, spec.strategy.label]
        records = run.epochs() if len(known) < ENOUGH else []
        if records:
            known.append(fmean(record.train_s + record.eval_s for record in records))
    return {key: fmean(values) for key, values in seen.items() if values}


def spent_node_hours(spec: ExperimentSpec, folder: ExperimentDir) -> tuple[float | None, int]:
    """Estimate the node-hours of a whole experiment from its finished runs, and count those.

    None unless each pair has one.  A run that has not finished is judged by those of its strategy on
    its pair, else by all on its pair.
    """
    pairs = {pair.name: pair.model_dump(exclude={"name", "paper", "margin"}) for pair in spec.pairs}
    hours: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in pairs}  # by pair and strategy
    for run in folder.read():
        if run.done is None or run.last is None or run.spec is None:
            continue
        pair, label = run.spec.pair, run.spec.strategy.label
        if pairs.get(pair.name) == pair.model_dump(exclude={"name", "paper", "margin"}):
            spent_s = run.last.elapsed_s + sum(record.eval_s for record in run.epochs)
            hours[pair.name][label].append(spent_s / 3600 * max(1, len(run.provenance.hosts)))
    n_runs = sum(len(runs) for by_strategy in hours.values() for runs in by_strategy.values())
    if not all(hours.values()):
        return None, n_runs
    total = 0.0
    for by_strategy in hours.values():
        of_pair = [fmean(runs) for runs in by_strategy.values()]
        total += sum(fmean(by_strategy.get(choice.label, of_pair)) for choice in spec.strategies) * len(spec.seeds)
    return total, n_runs
