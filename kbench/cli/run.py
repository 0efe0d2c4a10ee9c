"""kbench run: start what is missing, follow it, and tell where the runs stand."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

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
    on_terminal,
    print_json,
    print_result,
    split_options,
)

if TYPE_CHECKING:
    from kbench.experiment.driver import RunReport


def run(
    experiment: Experiment = DEFAULT,
    scheduler_options: SchedulerOptions = None,
    site: SiteName = "",
    launcher: Launcher = "auto",
    only: Only = [],  # noqa: B006  (typer's way)
    settings: Settings = [],  # noqa: B006
    retry: Annotated[bool, typer.Option("--retry", help="Start failed and cancelled runs again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print what would be started; start nothing.")
    ] = False,
    max_parallel: MaxParallel = None,
    pairing: Pairing = "none",
    max_node_hours: MaxNodeHours = None,
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Stay until all runs have ended; so by default on this machine, not on a cluster.",
            show_default=False,
        ),
    ] = None,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train what is missing of an experiment (default: quick), one line per run."""
    from kbench.cli.check import show
    from kbench.cli.live_table import LiveTable
    from kbench.experiment.check import check_report, checked_plan
    from kbench.experiment.driver import drive
    from kbench.experiment.plan import Request
    from kbench.experiment.status import Progress

    experiment, options = split_options(experiment, scheduler_options)
    plan = checked_plan(
        Request(
            experiment=experiment,
            site=site,
            launcher=launcher,
            only=only,
            settings=settings,
            scheduler_options=options,
            retry=retry,
            max_parallel=max_parallel,
            pairing=pairing,
            max_node_hours=max_node_hours,
            results=results,
        )
    )
    if dry_run:
        show(check_report(plan), as_json=as_json, quiet=quiet)
        return
    follow = LiveTable if on_terminal(sys.stderr) and not quiet else Progress
    try:
        report = drive(plan, wait=wait, progress=follow(lambda text: log(text, quiet=quiet)))
    except KeyboardInterrupt as interrupt:
        if not interrupt.args:
            raise
        log(interrupt.args[0], quiet=quiet)
        raise typer.Exit(130) from None
    _print(report, as_json=as_json)
    report.raise_failures()
    log(_advice(report), quiet=quiet)


def _print(report: "RunReport", *, as_json: bool) -> None:
    if as_json and report.process:
        entry = {"process": report.process, "log": str(report.log)}
        print_json({"schema": 1, "experiment": report.experiment, **entry})
    elif as_json:
        print_json({"schema": 1, "experiment": report.experiment, "runs": [one.as_json() for one in report.runs]})
    elif report.process:
        print_result(f"process {report.process} starts the runs and writes {report.log}")
    else:
        for one in report.runs:
            print_result(one.text)


def _advice(report: "RunReport") -> str:
    """How to go on from here."""
    name, n_runs, n_left = report.experiment, len(report.runs), report.n_left
    if report.process:
        return f"follow them with kbench status {name}, end them with kbench cancel"
    if not report.waited:
        return f"kbench status {name} tells how they stand, kbench cancel {name} ends them"
    if n_left:
        return f"{n_left} of {n_runs} runs still go on elsewhere"
    return f"all {n_runs} runs done; see kbench compare {name}, kbench plot {name}"
