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
from kbench.experiment.status import SCHEDULED, StatusMonitor
from kbench.launch import job_script
from kbench.launch.schedulers.slurm import Slurm, limit_s
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
    scheduler_says: str  # to the script of the first run; empty where it cannot be asked
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
                *[f"sbatch --test-only: {self.scheduler_says}"] * bool(self.scheduler_says),
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
    if site.launcher not in SCHEDULED and plan.is_paired:
        raise ConfigError("--pairing node: needs a scheduler", hint="runs of this machine share it anyway")
    if site.launcher not in SCHEDULED and site.options:
        raise ConfigError(f"{site.options[0]}: launcher {site.launcher!r} knows no scheduler's options")
    if site.launcher in SCHEDULED and max_parallel and not (site.launcher == "slurm" and site.arrays):
        raise ConfigError("--max-parallel: only Slurm's job arrays can limit how many run at a time")
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
    states = StatusMonitor(plan.folder).states(plan.run_dirs)
    return CheckReport(
        experiment=plan.name,
        launcher=plan.site.launcher,
        ranks=plan.site.ranks,
        threads_per_rank=plan.site.threads_per_rank,
        runs=tuple(
            CheckedRun(run_id=run.run_id, state=state) for run, state in zip(plan.run_dirs, states, strict=True)
        ),
        script=_script(plan),
        cost=cost_of(plan, states),
        scheduler_says=_test(plan),
        data_problems=tuple(plan.data_problems()),
    )


def _script(plan: Plan) -> str:
    """The job script of the first run."""
    if plan.site.launcher in SCHEDULED:
        return job_script.check_template(plan.site, plan.folder, plan.run_dirs)
    return local.script(plan.run_dirs[0], plan.site)


def _test(plan: Plan) -> str:
    """What Slurm says to the script of the first run; raises LaunchError where it would never run it."""
    site = plan.site
    if site.launcher != "slurm":
        return ""
    limit = limit_s(site.partition) if site.time_limit_s else None
    if limit and site.time_limit_s and site.time_limit_s > limit:  # Slurm would let it wait for ever
        raise ConfigError(
            f"time_limit: {site.time_limit} is more than the {limit} s that the partition allows",
            hint="see time_limit and partition in the site file; a run that needs longer is requeued and goes on",
        )
    with tempfile.TemporaryDirectory(prefix="kbench-") as folder:
        path = Path(folder) / "job.sh"
        path.write_text(_script(plan))
        return Slurm().test(path)


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
