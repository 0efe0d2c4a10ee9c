"""kbench status, logs, cancel: where runs stand, what they printed, and how to end them."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import (
    DEFAULT,
    RESULTS,
    Debug,
    Experiment,
    Json,
    Quiet,
    Results,
    log,
    on_terminal,
    print_json,
    print_result,
)

if TYPE_CHECKING:
    from kbench.records.folders import ExperimentDir

EVERY_S = 2.0


def status(
    experiment: Experiment = DEFAULT,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Redraw until all runs have ended.")] = False,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell where each run stands: state, epoch, accuracy, time used and left."""
    from kbench.experiment.results import find_results
    from kbench.experiment.status import StatusMonitor

    folder = find_results(experiment, results)
    monitor = StatusMonitor(folder)
    while True:
        found = [monitor.status_of(run) for run in folder.read()]
        if as_json:
            print_json({"schema": 1, "experiment": folder.path.name, "runs": [one.as_json() for one in found]})
        else:
            if watch and on_terminal(sys.stdout):
                print("\x1b[2J\x1b[H", end="")
            print_result("\n".join([*(one.text for one in found), *_imported(folder)]))
        if monitor.scheduler_error:
            log(f"note: {monitor.scheduler_error}; states are as the runs wrote them", quiet=quiet)
        if not watch or not any(one.state.is_live for one in found):
            return
        time.sleep(EVERY_S)
        monitor.refresh()


def _imported(folder: "ExperimentDir") -> list[str]:
    from kbench.records import imported

    return [f"{run.run_id}  imported from {imported.read(run).format}" for run in imported.runs(folder)]


def logs(
    run: Annotated[str, typer.Argument(help="Any part of experiment/run_id that fits one run.", metavar="RUN")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    results: Results = RESULTS,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what a run printed."""
    from kbench.experiment.results import find_run
    from kbench.experiment.status import StatusMonitor
    from kbench.records.folders import ExperimentDir

    folder = find_run(run, results)
    monitor = StatusMonitor(ExperimentDir(folder.path.parent.parent))
    printed = {folder.stdout: 0, folder.stderr: 0}
    if not folder.stdout.exists():
        status = monitor.status_of(folder.read())
        log(f"{folder.run_id} has printed nothing: it is {status.state}  {status.reason}".strip(), quiet=quiet)
    while True:
        is_live = monitor.state_of(folder.read()).is_live
        for path, start in printed.items():
            if path.exists():
                with path.open("rb") as file:
                    file.seek(start)
                    text = file.read().decode(errors="replace")
                    printed[path] = file.tell()
                print(text, end="", flush=True, file=sys.stdout if path == folder.stdout else sys.stderr)
        if not is_live or not follow:
            return
        time.sleep(EVERY_S / 4)
        monitor.refresh()


def cancel(
    experiment: Experiment = DEFAULT, results: Results = RESULTS, quiet: Quiet = False, debug: Debug = False
) -> None:
    """End the runs of an experiment that are alive or queued, and what would start more."""
    from kbench.experiment.cancel import cancel_runs
    from kbench.experiment.results import find_results

    cancelled = cancel_runs(find_results(experiment, results))
    for run in cancelled:
        print_result(f"{run.run_id}  cancelled")
    if not cancelled:
        log("no run was alive", quiet=quiet)
