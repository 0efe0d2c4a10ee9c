"""kbench run, check: start what is missing of an experiment, or only say what that would be."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import Output, RequestOptions, WaitForQuiet, on_terminal, repeatable

if TYPE_CHECKING:
    from kbench.experiment.check import CheckReport
    from kbench.experiment.driver import RunReport


def check(options: RequestOptions, output: Output) -> None:
    """Find every mistake in an experiment, list its runs and a job script; start nothing."""
    from kbench.experiment.check import check_report, checked_plan

    _show(check_report(checked_plan(options.request(), anywhere=True)), output)


def run(
    options: RequestOptions,
    retry: Annotated[bool, typer.Option("--retry", help="Start failed and cancelled runs again.")] = False,
    redo: Annotated[
        list[str] | None,
        repeatable("--redo", "Train runs again that are done: an id, a label, a pattern, or disturbed", "RUN"),
    ] = None,
    wait_for_quiet: WaitForQuiet = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print what would be started; start nothing.")
    ] = False,
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Stay until all runs have ended; so by default on this machine, not on a cluster.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Output,
) -> None:
    """Train what is missing of an experiment (default: quick), one line per run."""
    from kbench.cli.live_table import LiveTable
    from kbench.experiment.check import check_report, checked_plan
    from kbench.experiment.driver import drive
    from kbench.experiment.status import Progress

    plan = checked_plan(options.request(retry=retry, redo=tuple(redo or ()), wait_for_quiet=wait_for_quiet))
    if dry_run:
        _show(check_report(plan), output)
        return
    follow = LiveTable if on_terminal(sys.stderr) and not output.quiet else Progress
    try:
        report = drive(plan, wait=wait, progress=follow(output.log))
    except KeyboardInterrupt as interrupt:
        if not interrupt.args:
            raise
        output.log(interrupt.args[0])
        raise typer.Exit(130) from None
    _print(report, output)
    report.raise_failures()
    output.log(_advice(report))


def _show(report: "CheckReport", output: Output) -> None:
    """Print what a check found out."""
    output.json(report.as_json())
    output.text(report.summary)
    for problem in () if output.as_json else report.data_problems:
        output.log(f"warning: {problem}")
    output.text(f"\n# job.sh of {report.runs[0].run_id}\n{report.script}")


def _print(report: "RunReport", output: Output) -> None:
    if report.process:
        output.json({"experiment": report.experiment, "process": report.process, "log": str(report.log)})
        output.text(f"process {report.process} starts the runs and writes {report.log}")
        return
    output.json({"experiment": report.experiment, "runs": [one.as_json() for one in report.runs]})
    for one in report.runs:
        output.text(one.text)


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
