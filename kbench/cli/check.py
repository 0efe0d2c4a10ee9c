"""kbench check: the same as run, up to the start."""

from typing import TYPE_CHECKING

from kbench.cli import options
from kbench.cli.options import log, print_json, print_result

if TYPE_CHECKING:
    from kbench.experiment.check import CheckReport


def check(
    experiment: options.Experiment = options.DEFAULT,
    scheduler_options: options.SchedulerOptions = None,
    site: options.SiteName = "",
    launcher: options.Launcher = "auto",
    only: options.Only = [],  # noqa: B006
    settings: options.Settings = [],  # noqa: B006
    max_parallel: options.MaxParallel = None,
    pairing: options.Pairing = "none",
    max_node_hours: options.MaxNodeHours = None,
    results: options.Results = options.RESULTS,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find every mistake in an experiment, list its runs and a job script; start nothing."""
    from kbench import api

    experiment, more = options.split_options(experiment, scheduler_options)
    report = api.check(
        experiment,
        site=site,
        launcher=launcher,
        only=only,
        settings=settings,
        scheduler_options=more,
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
