"""kbench check: the same as run, up to the start."""

from collections import Counter
from typing import TYPE_CHECKING

from kbench.cli.options import (
    DEFAULT,
    RESULTS,
    Debug,
    Experiment,
    Json,
    Launcher,
    MaxNodeHours,
    MaxParallel,
    Only,
    Pairing,
    Quiet,
    Results,
    SchedulerOptions,
    Settings,
    SiteName,
    put,
    put_json,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbench.cli.request import Request
    from kbench.config.site import Site
    from kbench.records.run_state import State


def check(
    experiment: Experiment = DEFAULT,
    scheduler_options: SchedulerOptions = None,
    site: SiteName = "",
    launcher: Launcher = "auto",
    only: Only = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    max_parallel: MaxParallel = None,
    pairing: Pairing = "none",
    max_node_hours: MaxNodeHours = None,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find every mistake in an experiment, list its runs and a job script; start nothing."""
    from kbench.cli.request import read

    asked = read(
        experiment, results=results, settings=settings, site=site, only=only, scheduler_options=scheduler_options
    )
    there = examined(asked, launcher=launcher, max_parallel=max_parallel, pairing=pairing, max_hours=max_node_hours)
    show(asked, there, as_json=as_json, paired=pairing == "node", quiet=quiet)


def examined(
    asked: "Request", *, launcher: str, max_parallel: int | None, pairing: str, max_hours: float | None
) -> "Site":
    """The site as it stands here, when nothing is wrong with what is asked; raises the first KBenchError else."""
    from kbench.cli.request import check_prerequisites
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError
    from kbench.experiment.resolve import resolved
    from kbench.launch.schedulers.registry import is_scheduler, scheduler_class
    from kbench.records import register

    if pairing not in ("none", "node"):
        raise ConfigError(f"--pairing: unknown {pairing!r}{did_you_mean(pairing, ('none', 'node'))}")
    there = resolved(asked.site, launcher=launcher, max_parallel=max_parallel or 1)
    scheduled = is_scheduler(there.launcher)
    if not scheduled and pairing == "node":
        raise ConfigError("--pairing node: needs a scheduler", hint="runs of this machine share it anyway")
    if not scheduled and asked.site.options:
        raise ConfigError(f"{asked.site.options[0]}: launcher {there.launcher!r} knows no scheduler's options")
    if scheduled and max_parallel and not (scheduler_class(there.launcher).can.arrays and there.arrays):
        raise ConfigError("--max-parallel: only job arrays can limit how many run at a time, and there are none here")
    register.check(asked.folder, asked.runs)
    check_prerequisites(asked)
    _script(asked, there)  # a template that cannot be filled is found before anything starts
    _test(asked, there)
    if max_hours is not None:
        _check_hours(asked, there, max_hours, paired=pairing == "node")
    return there


def _script(asked: "Request", site: "Site") -> str:
    """The job script of the first run."""
    from kbench.experiment import local
    from kbench.launch import job_script
    from kbench.launch.schedulers.registry import is_scheduler

    runs = asked.run_dirs
    if is_scheduler(site.launcher):
        return job_script.check_template(site, asked.folder, runs)
    return local.script(runs[0], site)


def _test(asked: "Request", site: "Site") -> str:
    """The scheduler's own test of the first run's script; raises LaunchError where it would never run it."""
    import tempfile
    from pathlib import Path

    from kbench.errors import ConfigError
    from kbench.launch.schedulers.registry import is_scheduler, scheduler_class

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
        path.write_text(_script(asked, site))
        return scheduler.test(path)


def _check_hours(asked: "Request", site: "Site", at_most: float, *, paired: bool) -> None:
    from kbench.errors import ConfigError
    from kbench.experiment.status import StatusMonitor

    told, hours = _hours(asked, site, StatusMonitor(asked.folder).states(asked.run_dirs), paired=paired)
    if hours is None:
        raise ConfigError(
            f"--max-node-hours {at_most:g}: {told}", hint="set time_limit in the site file, or run one seed first"
        )
    if hours > at_most:
        raise ConfigError(
            f"--max-node-hours {at_most:g}: {told}", hint="--only takes fewer runs, --max-node-hours allows more"
        )


def _hours(asked: "Request", site: "Site", found: "Sequence[State]", *, paired: bool) -> tuple[str, float | None]:
    """What is left to do costs: a sentence and node-hours, None where nothing is known."""
    from kbench.experiment.cost import bound, node_hours

    runs = asked.run_dirs
    hours = node_hours(runs, asked.runs, found, site)
    if hours is not None:
        return f"node-hours: about {hours:.2g} to go", hours
    n_jobs = len({spec.match_key for spec in asked.runs}) if paired else len(runs)
    most = bound(runs, found, site, groups=n_jobs)
    if most is not None:
        return f"node-hours: at most {most:.3g} by the time limit; more is known when an epoch has been run", most
    return "node-hours: unknown before an epoch of each pair has been run", None


def show(asked: "Request", site: "Site", *, as_json: bool, paired: bool, quiet: bool) -> None:
    """Print the runs with their states, what they cost, and the script of the first."""
    from kbench.experiment.status import StatusMonitor
    from kbench.launch.schedulers.registry import scheduler_class

    runs = asked.run_dirs
    found = StatusMonitor(asked.folder).states(runs)
    text, (told, hours), tested = _script(asked, site), _hours(asked, site, found, paired=paired), _test(asked, site)
    missing = asked.data_problems()
    if as_json:
        listed = [{"run_id": run.run_id, "state": state} for run, state in zip(runs, found, strict=True)]
        put_json(
            {
                "schema": 1,
                "experiment": asked.spec.name,
                "launcher": site.launcher,
                "node_hours": hours,
                "scheduler_says": tested or None,
                "data_problems": missing,
                "runs": listed,
                "script": text,
            }
        )
        return
    for run, state in zip(runs, found, strict=True):
        put(f"{run.run_id}  {state}")
    counts = ", ".join(f"{n} {state}" for state, n in Counter(found).items())
    put(f"\n{len(runs)} runs ({counts}), {site.ranks} rank(s) of {site.threads_per_rank} thread(s), {site.launcher}")
    put(told)
    if tested:
        put(f"{scheduler_class(site.launcher).can.submission_test}: {tested}")
    for problem in missing:
        say(f"warning: {problem}", quiet=quiet)
    put(f"\n# job.sh of {runs[0].run_id}\n{text}")
