"""kbench run: expand, check, start what is missing."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    on_terminal,
    put,
    put_json,
    say,
)

if TYPE_CHECKING:
    from kbench.cli.request import Request
    from kbench.config.site import Site
    from kbench.records.folders import RunDir


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
    from kbench.cli import submit
    from kbench.cli.check import examined, show
    from kbench.cli.request import read
    from kbench.experiment.driver import check_no_driver
    from kbench.launch.schedulers.registry import is_scheduler
    from kbench.records import register

    asked = read(
        experiment, results=results, settings=settings, site=site, only=only, scheduler_options=scheduler_options
    )
    there = examined(asked, launcher=launcher, max_parallel=max_parallel, pairing=pairing, max_hours=max_node_hours)
    if dry_run:
        show(asked, there, as_json=as_json, paired=pairing == "node", quiet=quiet)
        return
    asked.check_data()
    for text in asked.data_notes():
        say(f"warning: {text}", quiet=quiet)
    check_no_driver(asked.folder)
    register.make(asked.folder)
    runs = asked.run_dirs
    if is_scheduler(there.launcher):
        paired = pairing == "node"
        submit.submit(asked, there, runs, retry=retry, paired=paired, max_parallel=max_parallel, quiet=quiet)
        if not wait:
            submit.tell(asked, runs, as_json=as_json, quiet=quiet)
            return
        submit.stay(asked, runs, quiet=quiet)
    elif wait is False:
        detach(asked, as_json=as_json, quiet=quiet)
        return
    else:
        start(asked, there, runs, retry=retry, max_parallel=max_parallel or 1, quiet=quiet)
    report(asked, runs, as_json=as_json, quiet=quiet)


def start(
    asked: "Request", site: "Site", runs: "Sequence[RunDir]", *, retry: bool, max_parallel: int, quiet: bool
) -> None:
    """Start what is missing and stay until it has ended; Ctrl-C ends the children."""
    from kbench.cli.progress import Lines, Live
    from kbench.experiment.driver import driver_lock, shuffled
    from kbench.experiment.local import Children
    from kbench.experiment.status import StatusMonitor
    from kbench.launch.schedulers.registry import is_scheduler
    from kbench.records import register
    from kbench.records.liveness import is_here, state_of
    from kbench.records.run_state import State

    folder = asked.folder
    with driver_lock(folder):
        again = {State.MISSING, State.INTERRUPTED}
        again |= {State.FAILED, State.CANCELLED, State.DAMAGED} if retry else set()
        register.take(folder, asked.runs, asked.as_written)
        outlook = StatusMonitor(folder)
        seen = {folder.run(run.run_id): run for run in folder.read()}
        queued = [run for run, at in seen.items() if at.job and is_scheduler(at.job.launcher) and not at.done]
        queued = [run for run in queued if outlook.state_of(seen[run]) in (State.WAITING, State.RUNNING)]
        alive = [run for run in seen if run not in queued and state_of(seen[run]) is State.RUNNING]
        hosts = {run: job.host for run in alive if (job := seen[run].job) and not is_here(job.host)}
        for run, host in () if retry else hosts.items():
            say(f"{run.run_id} runs on {host}; if it is gone, --retry starts it again", quiet=quiet)
        idle = [run for run in runs if run not in queued]
        missing = [run for run in idle if state_of(seen[run]) in again or (retry and run in hosts)]
        adopted = [run for run in alive if run not in hosts]
        if not missing and not adopted:
            return
        queue = shuffled(missing, folder, max_parallel=max_parallel)
        live = on_terminal(sys.stderr) and not quiet
        say(f"{len(queue)} of {len(runs)} runs to start, with {site.launcher}", quiet=quiet)
        watch = Live(folder, runs) if live else Lines(folder, runs, quiet=quiet)
        children = Children(site, max_parallel=max_parallel)
        try:
            with _signals_as_interrupts(), watch, children:
                children.work_through(queue, adopted, watch.tick)
        except KeyboardInterrupt:
            left = sum(state_of(run.read()) is not State.DONE for run in runs)
            say(f"interrupted; {left} of {len(runs)} runs are left, kbench run starts them", quiet=quiet)
            raise typer.Exit(130) from None


def report(asked: "Request", runs: "Sequence[RunDir]", *, as_json: bool, quiet: bool) -> None:
    """Gather, print a line per run, and fail when a run has failed."""
    from kbench.cli.progress import line, row
    from kbench.errors import RunError
    from kbench.experiment.status import StatusMonitor
    from kbench.records.run_state import State
    from kbench.records.store import gather

    outlook = StatusMonitor(asked.folder)
    gather(asked.folder, outlook.state_of)
    found = [(run, outlook.status_of(run)) for run in (folder.read() for folder in runs)]
    states = [status.state for _, status in found]
    if as_json:
        put_json({"schema": 1, "experiment": asked.spec.name, "runs": [row(*one) for one in found]})
    else:
        for one in found:
            put(line(*one))
    failed = [one for one, status in found if status.state in (State.FAILED, State.CANCELLED)]
    if failed:
        first = failed[0]
        raise RunError(
            f"{len(failed)} of {len(runs)} runs failed; {first.run_id}: {first.failure.error if first.failure else ''}",
            hint=f"kbench logs {first.run_id} shows what it printed; kbench run --retry starts failed runs again",
        )
    gone = [(one, status) for one, status in found if status.state in (State.INTERRUPTED, State.MISSING)]
    if gone:
        (first, status), why = gone[0], "its job script was killed or left early"
        raise RunError(
            f"{len(gone)} of {len(runs)} runs ended without a word; {first.run_id} is {status.state}",
            hint=f"{status.why or why}; kbench logs {first.run_id} shows what it printed, kbench run starts it again",
        )
    if not all(state is State.DONE for state in states):
        left = sum(state is not State.DONE for state in states)
        say(f"{left} of {len(runs)} runs still go on elsewhere", quiet=quiet)
        return
    say(f"all {len(runs)} runs done; see kbench compare {asked.spec.name}, kbench plot {asked.spec.name}", quiet=quiet)


def detach(asked: "Request", *, as_json: bool, quiet: bool) -> None:
    """Let another process do the same and stay; this one is done."""
    words = [word for word in sys.argv[1:] if word not in ("--no-wait", "--json")]
    log = asked.folder.path / "front.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "kbench", *words, "--wait"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    if as_json:
        put_json({"schema": 1, "experiment": asked.spec.name, "process": process.pid, "log": str(log)})
    else:
        put(f"process {process.pid} starts the runs and writes {log}")
    say(f"follow them with kbench status {asked.spec.name}, end them with kbench cancel", quiet=quiet)


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """A request to end, from whomever, is a Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]  # as nohup asks
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
