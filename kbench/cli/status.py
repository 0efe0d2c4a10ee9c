"""kbench status, logs, cancel: where runs stand, what they printed, and how to end them."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Experiment, Messages, Output, Results, on_terminal
from kbench.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbench.experiment.status import RunStatus
    from kbench.records.folders import ExperimentDir

EVERY_S = 2.0
LISTED = 3  # runs named of many that nobody has begun


def status(
    experiment: Experiment = DEFAULT,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Redraw until all runs have ended.")] = False,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Tell where each run stands: state, epoch, accuracy, time used and left."""
    from kbench.experiment.results import find_results
    from kbench.experiment.status import StatusMonitor

    folder = find_results(experiment, results)
    monitor = StatusMonitor(folder)
    while True:
        found = monitor.mark_disturbed([monitor.status_of(run) for run in folder.read()])
        if watch and not output.as_json and on_terminal(sys.stdout):
            print("\x1b[2J\x1b[H", end="")
        output.json({"experiment": folder.path.name, "runs": [one.as_json() for one in found]})
        output.text("\n".join([*_lines(found), *_imported(folder)]))
        if n_redone := sum(one.run.n_redone > 0 for one in found):
            many = "runs were" if n_redone > 1 else "run was"
            output.log(f"note: {n_redone} {many} trained again; earlier records are in superseded/, and in no table")
        if problem := folder.source_problem():
            output.log(f"note: {problem}; runs that were never begun are not listed")
        if monitor.scheduler_error:
            output.log(f"note: {monitor.scheduler_error}; states are as the runs wrote them")
        if not watch or not any(one.state.is_live for one in found):
            return
        time.sleep(EVERY_S)
        monitor.refresh()


def _lines(found: "Sequence[RunStatus]") -> list[str]:
    """A line for each run; many that nobody has begun share one."""
    from kbench.records.run_state import State

    absent = [one for one in found if one.state is State.MISSING and not one.folder.is_dir()]
    if len(absent) <= LISTED:
        return [one.text for one in found]
    names = ", ".join(one.run_id for one in absent[:LISTED])
    more = f"{len(absent)} runs are missing, and were never begun: {names} and {len(absent) - LISTED} more"
    return [*(one.text for one in found if one not in absent), more]


def _imported(folder: "ExperimentDir") -> list[str]:
    from kbench.records import imported

    lines = []
    for run in map(imported.read, imported.runs(folder)):
        what = f"imported from {run.facts.format}" if run.facts and not run.trouble else f"damaged  {run.trouble}"
        lines.append(f"{run.path.name}  {what}")
    return lines


def logs(
    run: Annotated[str, typer.Argument(help="Any part of experiment/run_id that fits one run.", metavar="RUN")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    results: Results = RESULTS,
    *,
    messages: Messages,
) -> None:
    """Show what a run printed; escape codes are shown as text, stdout.log in its folder has them as they are."""
    from kbench.experiment.results import find_run
    from kbench.experiment.status import StatusMonitor
    from kbench.records.folders import ExperimentDir

    folder = find_run(run, results)
    monitor = StatusMonitor(ExperimentDir(folder.path.parent.parent))
    printed = {folder.stdout: 0, folder.stderr: 0}
    if not folder.stdout.exists():
        status = monitor.status_of(folder.read())
        messages.log(f"{folder.run_id} has printed nothing: it is {status.state}  {status.reason}".strip())
    while True:
        is_live = monitor.state_of(folder.read()).is_live
        for path, start in printed.items():
            if path.exists():
                with path.open("rb") as file:
                    file.seek(start)
                    text = file.read().decode(errors="replace")
                    printed[path] = file.tell()
                text = "\r".join(map(printable, text.split("\r")))  # a bar of progress may redraw its line
                print(text, end="", flush=True, file=sys.stdout if path == folder.stdout else sys.stderr)
        if not is_live or not follow:
            return
        time.sleep(EVERY_S / 4)
        monitor.refresh()


def cancel(experiment: Experiment = DEFAULT, results: Results = RESULTS, *, messages: Messages) -> None:
    """End the runs of an experiment that are alive or queued, and what would start more."""
    from kbench.experiment.driver import cancel_runs
    from kbench.experiment.results import find_results

    cancelled = cancel_runs(find_results(experiment, results))
    for run in cancelled:
        print(f"{printable(run.run_id)}  cancelled", flush=True)
    if not cancelled:
        messages.log("no run was alive")
