"""Check an experiment before it starts: every mistake, its runs, its job script, its node-hours."""

import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kbench.config.parse import did_you_mean
from kbench.errors import ConfigError
from kbench.experiment import local
from kbench.experiment.cost import Cost, cost_of
from kbench.experiment.dependencies import check_prerequisites
from kbench.experiment.plan import Plan, Request, make_plan
from kbench.experiment.resolve import resolved
from kbench.experiment.status import StatusMonitor
from kbench.launch import job_script
from kbench.launch.schedulers.registry import is_scheduler, scheduler_class
from kbench.records import register
from kbench.records.run_state import State

PAIRINGS = ("none", "node")


@dataclass(frozen=True, kw_only=True)
class CheckedRun:
    """A run that an experiment means, and where it stands."""

    run_id: str
    state: State


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What is known of an experiment before it starts.  No mistake is left: those were raised."""

    experiment: str
    launcher: str
    ranks: int
    threads_per_rank: int | None  # None: not known before the job starts
    runs: tuple[CheckedRun, ...]
    cost: Cost  # of what is left to do
    scheduler_test: str  # the command that asks the scheduler about the script; empty where there is none
    scheduler_says: str  # what it printed
    data_problems: tuple[str, ...]  # with data sets, as this machine sees them
    script: str  # of the first run's job

    @property
    def node_hours(self) -> float | None:
        """What is left to do costs, at most; None where nothing is known."""
        return self.cost.node_hours

    def as_json(self) -> dict[str, Any]:
        """The object that ``kbench check --json`` prints."""
        return {
            "schema": 1,
            "experiment": self.experiment,
            "launcher": self.launcher,
            "node_hours": self.node_hours,
            "scheduler_says": self.scheduler_says or None,
            "data_problems": list(self.data_problems),
            "runs": [asdict(run) for run in self.runs],
            "script": self.script,
        }

    @property
    def summary(self) -> str:
        """The runs with their states, what a run takes, and what all of them cost, in lines."""
        counts = ", ".join(f"{n} {state}" for state, n in Counter(run.state for run in self.runs).items())
        ranks = f"{self.ranks} rank(s) of {self.threads_per_rank} thread(s)"
        return "\n".join(
            [
                *(f"{run.run_id}  {run.state}" for run in self.runs),
                f"\n{len(self.runs)} runs ({counts}), {ranks}, {self.launcher}",
                self.cost.text,
                *[f"{self.scheduler_test}: {self.scheduler_says}"] * bool(self.scheduler_says),
            ]
        )


def checked_plan(request: Request) -> Plan:
    """Plan what is requested, on the site as it stands here; nothing is started, nothing written.

    Raises:
        KBenchError: Something is wrong with the experiment, the site, the results folder or this machine.
    """
    plan = make_plan(request)
    pairing, max_parallel = request.pairing, request.max_parallel
    if pairing not in PAIRINGS:
        raise ConfigError(f"--pairing: unknown {pairing!r}{did_you_mean(pairing, PAIRINGS)}")
    site = resolved(plan.site, launcher=request.launcher, max_parallel=max_parallel or 1)
    scheduled = is_scheduler(site.launcher)
    if not scheduled and plan.is_paired:
        raise ConfigError("--pairing node: needs a scheduler", hint="runs of this machine share it anyway")
    if not scheduled and site.options:
        raise ConfigError(f"{site.options[0]}: launcher {site.launcher!r} knows no scheduler's options")
    if scheduled and max_parallel and not (scheduler_class(site.launcher).can.arrays and site.arrays):
        raise ConfigError("--max-parallel: only job arrays can limit how many run at a time, and there are none here")
    plan = replace(plan, site=site)
    register.check(plan.folder, plan.runs)
    check_prerequisites(plan.runs, plan.folder)
    _script(plan)  # a template that cannot be filled is found before anything starts
    _test(plan)
    if request.max_node_hours is not None:
        _check_hours(plan, request.max_node_hours)
    return plan


def check_report(plan: Plan) -> CheckReport:
    """Describe a plan: its runs with their states, what they cost, and the script of the first."""
    states, launcher = StatusMonitor(plan.folder).states(plan.run_dirs), plan.site.launcher
    return CheckReport(
        experiment=plan.name,
        launcher=launcher,
        ranks=plan.site.ranks,
        threads_per_rank=plan.site.threads_per_rank,
        runs=tuple(
            CheckedRun(run_id=run.run_id, state=state) for run, state in zip(plan.run_dirs, states, strict=True)
        ),
        script=_script(plan),
        cost=cost_of(plan, states),
        scheduler_test=scheduler_class(launcher).can.submission_test if is_scheduler(launcher) else "",
        scheduler_says=_test(plan),
        data_problems=tuple(plan.data_problems()),
    )


def _script(plan: Plan) -> str:
    """The job script of the first run."""
    if is_scheduler(plan.site.launcher):
        return job_script.check_template(plan.site, plan.folder, plan.run_dirs)
    return local.script(plan.run_dirs[0], plan.site)


def _test(plan: Plan) -> str:
    """The scheduler's own test of the first run's script; raises LaunchError where it would never run it."""
    site = plan.site
    if not is_scheduler(site.launcher):
        return ""
    scheduler = scheduler_class(site.launcher)(site.queue)
    if problem := scheduler.limit_problem(site):
        hint = "see time_limit and partition in the site file; a run that needs longer is requeued and goes on"
        raise ConfigError(problem, hint=hint)
    if not scheduler.can.submission_test:
        return ""
    with tempfile.TemporaryDirectory(prefix="kbench-") as folder:
        path = Path(folder) / "job.sh"
        path.write_text(_script(plan))
        return scheduler.test(path)


def _check_hours(plan: Plan, at_most: float) -> None:
    cost = cost_of(plan, StatusMonitor(plan.folder).states(plan.run_dirs))
    if cost.node_hours is None:
        raise ConfigError(
            f"--max-node-hours {at_most:g}: {cost.text}", hint="set time_limit in the site file, or run one seed first"
        )
    if cost.node_hours > at_most:
        raise ConfigError(
            f"--max-node-hours {at_most:g}: {cost.text}", hint="--only takes fewer runs, --max-node-hours allows more"
        )
