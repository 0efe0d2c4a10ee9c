"""Check an experiment before it starts: every mistake, its runs, its job script, its node-hours."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from kbench.config.parse import did_you_mean
from kbench.config.site import Site
from kbench.data import dataset_info
from kbench.errors import ConfigError
from kbench.experiment import local
from kbench.experiment.dependencies import check_prerequisites
from kbench.experiment.plan import Plan, Request, make_plan, resolved
from kbench.experiment.redo import matching
from kbench.experiment.registries import bytes_per_sample, n_train_of, normalises_batches
from kbench.experiment.status import RunStatus, StatusMonitor
from kbench.launch import job_script
from kbench.launch.schedulers.registry import is_scheduler, scheduler_class
from kbench.records import register
from kbench.records.folders import RunDir
from kbench.records.run_state import State

ABSENT = "not asked, as the scheduler is not on this machine"
SMALL_BYTES = 5  # of each sample: beside the 19 of every run they are not worth a line
PAIRINGS = ("none", "node", "turns")


class Cost(NamedTuple):
    """Node-hours of what is left to do."""

    text: str  # for people
    node_hours: float | None  # None: nothing is known


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What is known of an experiment before it starts.  No mistake is left: those were raised."""

    experiment: str
    launcher: str
    ranks: int
    threads_per_rank: int | None  # None: not known before the job starts
    runs: tuple[RunStatus, ...]
    cost: Cost  # of what is left to do
    scheduler_test: str  # the command that asks the scheduler about the script; empty where there is none
    scheduler_says: str  # what it printed
    data_problems: tuple[str, ...]  # with data sets, as this machine sees them
    script: str  # of the first run's job
    memory: tuple[str, ...]  # what strategies keep of each sample, where it is more than a few bytes
    departures: tuple[str, ...] = ()  # from what the papers' GPUs did, by pair
    redone: frozenset[str] = frozenset()  # ids of the runs that are trained again

    @property
    def node_hours(self) -> float | None:
        """What is left to do costs, at most; None where nothing is known."""
        return self.cost.node_hours

    def as_json(self) -> dict[str, Any]:
        """The object that ``kbench check --json`` prints."""
        return {
            "experiment": self.experiment,
            "launcher": self.launcher,
            "node_hours": self.node_hours,
            "scheduler_says": self.scheduler_says or None,
            "data_problems": list(self.data_problems),
            "departures": list(self.departures),
            "runs": [{"run_id": run.run_id, "state": run.state} for run in self.runs],
            "script": self.script,
        }

    @property
    def summary(self) -> str:
        """The runs with their states, what a run takes, and what all of them cost, in lines."""
        counts = ", ".join(f"{n} {state}" for state, n in Counter(run.state for run in self.runs).items())
        ranks = f"{self.ranks} rank(s) of {self.threads_per_rank} thread(s)"
        return "\n".join(
            [
                *(f"{run.run_id}  {self._state(run)}" for run in self.runs),
                f"\n{len(self.runs)} runs ({counts}), {ranks}, {self.launcher}",
                self.cost.text,
                *self.memory,
                *self.departures,
                *[f"{self.scheduler_test or self.launcher}: {self.scheduler_says}"] * bool(self.scheduler_says),
            ]
        )

    def _state(self, run: RunStatus) -> str:
        return f"{run.state}, to be trained again" if run.run_id in self.redone else str(run.state)


def checked_plan(request: Request, *, anywhere: bool = False) -> Plan:
    """Plan what is requested, on the site as it stands here; nothing is started, nothing written.

    ``anywhere``: also where the site's scheduler is not, as on a laptop; what only it can say is then left out.

    Raises:
        KBenchError: Something is wrong with the experiment, the site, the results folder or this machine.
    """
    plan = make_plan(request)
    pairing, max_parallel = plan.pairing, request.max_parallel
    if pairing not in PAIRINGS:
        raise ConfigError(f"--pairing: unknown {pairing!r}{did_you_mean(pairing, PAIRINGS)}")
    site = resolved(plan.site, launcher=request.launcher, max_parallel=max_parallel or 1)
    scheduled = is_scheduler(site.launcher)
    if not scheduled and pairing == "node":
        raise ConfigError("--pairing node: needs a scheduler", hint="runs of this machine share it anyway")
    if not scheduled and site.options:
        raise ConfigError(f"{site.options[0]}: launcher {site.launcher!r} knows no scheduler's options")
    if scheduled and max_parallel and not (scheduler_class(site.launcher).can.arrays and site.arrays):
        raise ConfigError("--max-parallel: only job arrays can limit how many run at a time, and there are none here")
    if scheduled and request.wait_for_quiet:
        raise ConfigError("--wait-for-quiet: watches this machine, and a scheduler starts the runs on others")
    plan = replace(plan, site=site, redone=matching(plan.runs, request.redo, plan.folder))
    register.check(plan.folder, plan.runs)
    check_prerequisites(plan.runs, plan.folder)
    if scheduled:  # a template that cannot be filled is found before anything starts
        plan = replace(plan, script=(script := _first_script(plan)))
        scheduler = scheduler_class(site.launcher)(site.queue)
        says = _test(script, site) if scheduler.is_there() or not anywhere else ABSENT
        plan = replace(plan, scheduler_says=says)
    else:
        plan = replace(plan, script=local.script(plan.run_dirs[0], site, in_turns=pairing == "turns"))
    if request.max_node_hours is not None:
        _check_hours(plan, request.max_node_hours)
    return plan


def check_report(plan: Plan) -> CheckReport:
    """Describe a plan: its runs with their states, what they cost, and the script of the first."""
    runs, launcher = StatusMonitor(plan.folder).statuses(plan.run_dirs), plan.site.launcher
    return CheckReport(
        experiment=plan.name,
        launcher=launcher,
        ranks=plan.site.ranks,
        threads_per_rank=plan.site.threads_per_rank,
        runs=runs,
        script=plan.script,
        redone=_done_and_redone(plan, runs),
        cost=cost_of(plan, runs),
        scheduler_test=scheduler_class(launcher).can.submission_test if is_scheduler(launcher) else "",
        scheduler_says=plan.scheduler_says,
        data_problems=tuple(plan.data_problems()),
        memory=tuple(_memory_notes(plan)),
        departures=tuple(_departures(plan)),
    )


def _memory_notes(plan: Plan) -> Iterator[str]:
    for run in {(run.pair.name, run.strategy.label): run for run in plan.runs}.values():
        info, chosen = dataset_info(run.pair.dataset), run.strategy
        n_train = n_train_of(run.pair.recipe.model_dump(), info) if info else 0
        if not n_train:
            continue
        n_bytes = bytes_per_sample(chosen.name, chosen.params, run.pair)
        if n_bytes > SMALL_BYTES:
            total = n_bytes * n_train / 2**20
            what = f"keeps {n_bytes:,} bytes of each sample on every rank, {total:,.1f} MiB"
            yield f"{chosen.label} on {run.pair.name}: {what}"


def _departures(plan: Plan) -> Iterator[str]:
    names = {run.pair.name for run in plan.runs}
    for pair in plan.spec.pairs:
        published = pair.paper.batch_per_gpu if pair.paper else None
        seen = pair.recipe.normalised_together(plan.site.ranks)
        if pair.name in names and published not in (None, seen) and normalises_batches(pair):
            text = f"batch normalisation sees {seen} samples together, on the paper's GPUs it saw {published}"
            yield f"{pair.name}: {text}; recipe.batchnorm_group: {published} does so on any number of ranks"


def _done_and_redone(plan: Plan, runs: Sequence[RunStatus]) -> frozenset[str]:
    return frozenset({one.run_id for one in runs if one.state is State.DONE} & {run.run_id for run in plan.redone})


def _first_script(plan: Plan) -> str:
    """The script that would be submitted first: of the runs that wait for no other, where there are arrays as one."""
    scheduler = scheduler_class(plan.site.launcher)(plan.site.queue)
    if not (scheduler.can.arrays and plan.site.arrays):
        return job_script.check_template(plan.site, plan.folder, plan.run_dirs)
    at_most = scheduler.max_array_tasks() if scheduler.is_there() else 1000
    free = [spec for spec in plan.runs if plan.is_paired or not spec.prerequisite]
    groups: dict[str, list[RunDir]] = defaultdict(list)
    for spec in free:
        groups[spec.match_key if plan.is_paired else spec.run_id].append(plan.folder.run(spec.run_id))
    tasks = dict(enumerate(map(tuple, list(groups.values())[:at_most])))
    return job_script.script(
        plan.site, plan.folder, "kb00000000", tasks or {0: tuple(plan.run_dirs[:1])},
        after=(), avoid=(), max_parallel=plan.request.max_parallel, arrays=True,
    )  # fmt: skip


def _test(script: str, site: Site) -> str:
    """The scheduler's own test of a script; raises LaunchError where it would never run it."""
    scheduler = scheduler_class(site.launcher)(site.queue)
    if problem := scheduler.limit_problem(site):
        hint = "see time_limit and partition in the site file; a run that needs longer is requeued and goes on"
        raise ConfigError(problem, hint=hint)
    if not scheduler.can.submission_test:
        return ""
    with tempfile.TemporaryDirectory(prefix="kbench-") as folder:
        path = Path(folder) / "job.sh"
        path.write_text(script, encoding="utf-8")
        return scheduler.test(path)


def _check_hours(plan: Plan, at_most: float) -> None:
    cost = cost_of(plan, StatusMonitor(plan.folder).statuses(plan.run_dirs))
    if cost.node_hours is None or cost.node_hours > at_most:
        hint = "--only takes fewer runs, --max-node-hours allows more"
        if cost.node_hours is None:
            hint = "set time_limit in the site file, or run one seed first"
        raise ConfigError(f"--max-node-hours {at_most:g}: {cost.text}", hint=hint)


def cost_of(plan: Plan, runs: Sequence[RunStatus]) -> Cost:
    """Estimate what the runs of a plan that are not done will cost; ``runs`` are where they stand."""
    hours = _node_hours(plan, runs)
    if hours is not None:
        return Cost(f"node-hours: about {hours:.2g} to go", hours)
    if plan.site.time_limit_s is None:
        return Cost("node-hours: unknown before an epoch of each pair has been run", None)
    n_jobs = len({spec.match_key for spec in plan.runs}) if plan.is_paired else len(plan.runs)
    most = n_jobs * plan.site.time_limit_s * plan.site.nodes / 3600  # without being queued again
    return Cost(f"node-hours: at most {most:.3g} by the time limit; more is known when an epoch has been run", most)


def _node_hours(plan: Plan, runs: Sequence[RunStatus]) -> float | None:
    """Estimate the node-hours of the epochs that are left, with evaluation; None where a pair has no epoch yet.

    A run is judged by runs of the same strategy on the same pair, else by others on that pair.
    """
    means: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))  # epochs [s], by pair, strategy
    for spec, one in zip(plan.runs, runs, strict=True):
        if one.run.epochs:
            epoch_s = fmean(record.train_s + record.eval_s for record in one.run.epochs)
            means[spec.pair.name][spec.strategy.label].append(epoch_s)
    left_s, redone = 0.0, _done_and_redone(plan, runs)
    for spec, one in zip(plan.runs, runs, strict=True):
        of_pair = [fmean(same) for same in means[spec.pair.name].values()]
        again = one.run_id in redone
        if one.state is State.DONE and not again:
            continue
        if not of_pair:
            return None
        epoch_s = fmean(means[spec.pair.name].get(spec.strategy.label, of_pair))
        left_s += epoch_s * max(0, (one.epochs or spec.pair.recipe.epochs) - (0 if again else one.epochs_done))
    return left_s * plan.site.nodes / 3600
