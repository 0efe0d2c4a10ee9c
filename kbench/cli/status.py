"""kbench status, logs, cancel: where runs stand, what they printed, and how to end them."""

import os
import signal
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
    on_terminal,
    put,
    put_json,
    say,
)

if TYPE_CHECKING:
    from kbench.records.folders import ExperimentDir, RunDir

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
    from kbench.cli.progress import line, row
    from kbench.cli.request import folder_of
    from kbench.experiment.status import StatusMonitor
    from kbench.records.run_state import State

    folder = folder_of(experiment, results)
    outlook = StatusMonitor(folder)
    while True:
        found = [(run, outlook.status_of(run)) for run in folder.read()]
        if as_json:
            put_json({"schema": 1, "experiment": folder.path.name, "runs": [row(*one) for one in found]})
        else:
            if watch and on_terminal(sys.stdout):
                print("\x1b[2J\x1b[H", end="")
            put("\n".join([*(line(*one) for one in found), *_imported(folder)]))
        if outlook.deaf:
            say(f"note: {outlook.deaf}; states are as the runs wrote them", quiet=quiet)
        if not watch or not {State.RUNNING, State.WAITING} & {status.state for _, status in found}:
            return
        time.sleep(EVERY_S)
        outlook.refresh()


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
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what a run printed."""
    from kbench.experiment.status import StatusMonitor
    from kbench.records.folders import ExperimentDir
    from kbench.records.run_state import State

    folder = _one_run(run, results)
    outlook = StatusMonitor(ExperimentDir(folder.path.parent.parent))
    shown = {folder.stdout: 0, folder.stderr: 0}
    if not folder.stdout.exists():
        status = outlook.status_of(folder.read())
        say(f"{folder.run_id} has printed nothing: it is {status.state}  {status.why}".strip(), quiet=quiet)
    while True:
        over = outlook.state_of(folder.read()) not in (State.RUNNING, State.WAITING)
        for path, start in shown.items():
            if path.exists():
                with path.open("rb") as file:
                    file.seek(start)
                    text = file.read().decode(errors="replace")
                    shown[path] = file.tell()
                print(text, end="", flush=True, file=sys.stdout if path == folder.stdout else sys.stderr)
        if over or not follow:
            return
        time.sleep(EVERY_S / 4)
        outlook.refresh()


def cancel(
    experiment: Experiment = DEFAULT, results: Results = RESULTS, quiet: Quiet = False, debug: Debug = False
) -> None:
    """End the runs of an experiment that are alive or queued, and what would start more."""
    from kbench.cli.request import folder_of
    from kbench.experiment.cancel import cancel_queued
    from kbench.experiment.driver import driver_of
    from kbench.records.run_files import Job

    folder = folder_of(experiment, results)
    alive = _running(folder)
    front = driver_of(folder)
    if front:
        _signal(int(front["id"]), front["host"], folder)
    for run in _running(folder):
        job = Job.read(run.path)
        if job and job.id:
            _signal(job.id, job.host, folder, group=True)
        alive += [run] * (run not in alive)
    for run in [*alive, *cancel_queued(folder)]:
        put(f"{run.run_id}  cancelled")
        alive.append(run)
    if not alive:
        say("no run was alive", quiet=quiet)


def _running(folder: "ExperimentDir") -> "list[RunDir]":
    from kbench.launch.schedulers.registry import is_scheduler
    from kbench.records.folders import RunDir
    from kbench.records.liveness import state_of
    from kbench.records.run_state import State

    ours = [run for run in folder.read() if not run.job or not is_scheduler(run.job.launcher)]
    return [RunDir(run.path) for run in ours if state_of(run) is State.RUNNING]


def _signal(pid: int, host: str, folder: "ExperimentDir", *, group: bool = False) -> None:
    import socket

    from kbench.errors import LaunchError

    if host != socket.gethostname():
        raise LaunchError(f"{folder.path}: process {pid} runs on {host}", hint=f"run kbench cancel on {host}")
    try:
        (os.killpg if group else os.kill)(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it ended by itself in the meantime


def _one_run(part: str, results: "Results") -> "RunDir":
    """The run whose ``experiment/run_id`` has ``part`` in it; raises ResultsError unless it is one."""
    from kbench.errors import ResultsError
    from kbench.records.folders import RunDir

    every = {f"{spec.parts[-4]}/{spec.parts[-2]}": RunDir(spec.parent) for spec in results.glob("*/runs/*/spec.json")}
    found = {name: run for name, run in sorted(every.items()) if part in name}
    if not found:
        raise ResultsError(f"{results}: no run has {part!r} in its name", hint="kbench status lists the runs")
    if len(found) > 1:
        some = ", ".join(list(found)[:4]) + (", ..." if len(found) > 4 else "")
        raise ResultsError(f"{part!r} fits {len(found)} runs: {some}", hint="give more of the name")
    return next(iter(found.values()))
