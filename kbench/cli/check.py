"""kbench check: the same as run, up to the start."""

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
    log,
    print_json,
    print_result,
    split_options,
)

if TYPE_CHECKING:
    from kbench.experiment.check import CheckReport


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
    from kbench import api

    experiment, options = split_options(experiment, scheduler_options)
    report = api.check(
        experiment,
        site=site,
        launcher=launcher,
        only=only,
        settings=settings,
        scheduler_options=options,
        max_parallel=max_parallel,
        pairing=pairing,
        max_node_hours=max_node_hours,
        results=results,
    )
    show(report, as_json=as_json, quiet=quiet)


def show(report: "CheckReport", *, as_json: bool, quiet: bool) -> None:
    """Print what a check found out."""
    if as_json:
        print_json(report.as_json())
        return
    print_result(report.summary)
    for problem in report.data_problems:
        log(f"warning: {problem}", quiet=quiet)
    print_result(f"\n# job.sh of {report.runs[0].run_id}\n{report.script}")
