"""Drive an experiment: start or submit the runs that are missing, follow them, report where they stand, end them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kbench import files
from kbench.errors import LaunchError, ResultsError, RunError
from kbench.experiment.check import CheckReport, check_report
from kbench.experiment.ledger import check_no_driver, driver_lock, driver_of, submissions
from kbench.experiment.local import Children
from kbench.experiment.order import draw_order
from kbench.experiment.plan import Plan
from kbench.experiment.quiet import warn_if_busy
from kbench.experiment.redo import set_aside
from kbench.experiment.status import Progress, RunStatus, StatusMonitor
from kbench.experiment.submit import submit
from kbench.launch.schedulers.registry import is_scheduler
from kbench.records import register, store
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import is_here, process_of, state_of
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind, State
from kbench.records.snapshot import RunSnapshot

POLL_S = 1.0
GONE_AFTER_S = 10.0  # a waiting job that was cancelled


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What became of the runs that were requested, at the moment when ``kbench run`` returns."""

    experiment: str
    folder: Path  # results/<experiment>
    runs: tuple[RunStatus, ...]
    waited: bool = False  # until the runs had ended
    process: int | None = None  # of this machine, which starts the runs that were not waited for
    log: Path | None = None  # that it writes
    check: CheckReport | None = None  # of a dry run

    @property
    def n_left(self) -> int:
        """How many runs are not done."""
        return sum(one.state is not State.DONE for one in self.runs)

    def raise_failures(self) -> None:
        """Raise RunError when a run that was waited for has failed, or ended without a word."""
        if not self.waited:
            return
        by_state = {state: [one for one in self.runs if one.state is state] for state in State}
        if failed := [*by_state[State.FAILED], *by_state[State.CANCELLED]]:
            first = next(one for one in self.runs if one in failed)
            hint = f"kbench logs {first.run_id} shows what it printed; kbench run --retry starts failed runs again"
            if first.run.failure and first.run.failure.kind is FailureKind.DISK_FULL:
                hint = first.run.failure.hint
            raise RunError(f"{len(failed)} of {len(self.runs)} runs failed; {first.run_id}: {first.error}", hint=hint)
        if damaged := by_state[State.DAMAGED]:
            raise RunError(
                f"{len(damaged)} of {len(self.runs)} runs are damaged; {damaged[0].run_id}: {damaged[0].reason}",
                hint="kbench run --retry trains damaged runs again",
            )
        if lost := [one for one in self.runs if one.state in (State.INTERRUPTED, State.MISSING)]:
            first, why = lost[0], "its job script was killed or left early"
            raise RunError(
                f"{len(lost)} of {len(self.runs)} runs ended without a word; {first.run_id} is {first.state}",
                hint=f"{first.reason or why}; kbench logs {first.run_id} shows what it printed, "
                "kbench run starts it again",
            )


def drive(plan: Plan, *, wait: bool | None, progress: Progress) -> RunReport:
    """Start what is missing of a plan.

    Args:
        plan: What ``checked_plan`` made.
        wait: Stay until all runs have ended; None: on this machine, and not on a cluster.
        progress: Takes messages, and follows the runs while this waits.

    Raises:
        KBenchError: The data or the folder are not there, another process starts runs there, or the scheduler refuses.
        KeyboardInterrupt: Somebody ended this process; runs of this machine ended with it, and a sentence says so.
    """
    plan.check_data()
    for text in plan.data_notes():
        progress.log(f"warning: {text}")
    check_no_driver(plan.folder)
    register.make(plan.folder)
    if is_scheduler(plan.site.launcher):
        submit(plan, progress.log)
        if not wait:
            return _report(plan, StatusMonitor(plan.folder))
        _wait(plan, progress)
    elif wait is False:
        return _detach(plan)
    else:
        _run_here(plan, progress)
    monitor = StatusMonitor(plan.folder)
    try:
        store.gather(plan.folder, monitor.state_of)
    except ResultsError as error:
        if not files.is_full(error):
            raise
        progress.log(f"warning: {error}")  # how the runs ended is the news
    return replace(_report(plan, monitor), waited=True)


def dry_report(plan: Plan) -> RunReport:
    """Describe a plan, and where its runs stand; nothing is started."""
    check = check_report(plan)
    return RunReport(experiment=plan.name, folder=plan.folder.path, runs=check.runs, check=check)


def _report(plan: Plan, monitor: StatusMonitor) -> RunReport:
    return RunReport(experiment=plan.name, folder=plan.folder.path, runs=monitor.statuses(plan.run_dirs))


def _run_here(plan: Plan, progress: Progress) -> None:
    """Start what is missing on this machine and stay until it has ended; Ctrl-C ends the children."""
    folder, runs, retry = plan.folder, plan.run_dirs, plan.request.retry
    max_parallel = plan.request.max_parallel or 1
    with driver_lock(folder):
        register.register_runs(folder, plan.runs, plan.text)
        set_aside(folder, plan.redone, progress.log)
        monitor = StatusMonitor(folder)
        snapshots = {folder.run(run.run_id): run for run in folder.read()}
        queued = {
            place
            for place, run in snapshots.items()
            if run.job and is_scheduler(run.job.launcher) and monitor.state_of(run).is_live
        }
        states = {place: state_of(run) for place, run in snapshots.items()}
        alive = [run for run in snapshots if run not in queued and states[run] is State.RUNNING]
        hosts = {run: job.host for run in alive if (job := snapshots[run].job) and not is_here(job.host)}
        for run, host in () if retry else hosts.items():
            progress.log(f"{run.run_id} runs on {host}; if it is gone, --retry starts it again")
        idle = [run for run in runs if run not in queued]
        missing = [run for run in idle if states[run].starts_again(retry=retry) or (retry and run in hosts)]
        adopted = [run for run in alive if run not in hosts]
        if not missing and not adopted:
            return
        if not adopted:
            warn_if_busy(progress.log, wait_min=plan.request.wait_for_quiet)
        order = draw_order(missing, folder, max_parallel=max_parallel)
        progress.log(f"{len(order.runs)} of {len(runs)} runs to start, with {plan.site.launcher}")
        children = Children(plan.site, max_parallel=max_parallel, in_turns=plan.pairing == "turns")
        try:
            with _signals_as_interrupts(), progress.following(folder, runs) as tick, children:
                children.work_through(order, adopted, tick)
        except KeyboardInterrupt:
            left = sum(state_of(run.read()) is not State.DONE for run in runs)
            text = f"interrupted; {left} of {len(runs)} runs are left, kbench run starts them"
            raise KeyboardInterrupt(text) from None


def _wait(plan: Plan, progress: Progress) -> None:
    """Wait until submitted runs have ended; Ctrl-C ends the waiting."""
    monitor = StatusMonitor(plan.folder)
    try:
        with progress.following(plan.folder, plan.run_dirs) as tick:
            while any(one.state.is_live for one in monitor.statuses(plan.run_dirs)):
                tick()
                time.sleep(POLL_S)
                monitor.refresh()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the runs go on; kbench status {plan.name} tells how they stand") from None


def _detach(plan: Plan) -> RunReport:
    """Start a process of its own that runs the plan here, and leave."""
    log = plan.folder.path / "front.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "kbench", "run", "--wait", *plan.request.arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return replace(_report(plan, StatusMonitor(plan.folder)), process=process.pid, log=log)


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C inside the ``with`` block."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # where signals cannot be handled
        yield
        return
    ends = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]  # as nohup asks
    before = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cancel_runs(experiment: ExperimentDir) -> list[RunDir]:
    """End the runs that are alive or queued, and what would start more; returns those runs.

    Raises LaunchError when they run on another host, or a scheduler does not listen.
    """
    alive = _alive_here(experiment)
    driver = driver_of(experiment)
    if driver:
        _terminate(driver.id, driver.host, experiment)
    for run in _alive_here(experiment):
        if run.job and (process := process_of(run)):
            _terminate(process, run.job.host, experiment, group=True)
        alive.append(run)
    ids = dict.fromkeys(run.run_id for run in [*alive, *_cancel_jobs(experiment)])
    return [experiment.run(run_id) for run_id in ids]


def _alive_here(experiment: ExperimentDir) -> list[RunSnapshot]:
    """The runs that are processes of this machine, and alive."""
    runs = [run for run in experiment.read() if not run.job or not is_scheduler(run.job.launcher)]
    return [run for run in runs if state_of(run) is State.RUNNING]


def _terminate(process: int, host: str, experiment: ExperimentDir, *, group: bool = False) -> None:
    if not is_here(host):
        raise LaunchError(f"{experiment.path}: process {process} runs on {host}", hint=f"run kbench cancel on {host}")
    with suppress(ProcessLookupError):  # it ended by itself in the meantime
        send = os.killpg if group else os.kill
        send(process, signal.SIGTERM)
        send(process, signal.SIGCONT)  # one that is stopped would get the other only when it goes on


def _left_waiting(experiment: ExperimentDir, cancelled: Sequence[RunStatus]) -> dict[str, str]:
    """Those of some runs whose jobs are still in the queue a while after they were cancelled, with their jobs' ids.

    A job that runs may take longer to end; one that waits would be trained after all.
    """
    waiting = {one.run_id: str(one.job_id) for one in cancelled if one.state is State.WAITING}
    deadline = time.monotonic() + GONE_AFTER_S
    while waiting:
        monitor = StatusMonitor(experiment)
        states = {run.run_id: monitor.is_queued(run) for run in experiment.read() if run.run_id in waiting}
        waiting = {run_id: job for run_id, job in waiting.items() if states.get(run_id)}
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    return waiting


def _cancel_jobs(experiment: ExperimentDir) -> list[RunSnapshot]:
    """End the jobs of all runs that wait or run at a scheduler, only those of the ledger; returns those runs."""
    monitor, submitted = StatusMonitor(experiment), submissions(experiment)
    runs = [run for run in experiment.read() if run.job and is_scheduler(run.job.launcher)]
    statuses = [status for status in map(monitor.status_of, runs) if status.state.is_live and status.job_id]
    ids: dict[str, dict[str, None]] = {}
    for status in statuses:
        job = status.run.job
        ids.setdefault(str(job and job.token), {})[str(status.job_id)] = None
    if monitor.scheduler_error:
        raise LaunchError(
            f"{monitor.scheduler_error}; nothing was cancelled",
            hint="a job is ended only when its scheduler shows it under the name that kbench gave it; try again later",
        )
    for token, jobs in ids.items():
        submitted[token].scheduler.cancel(list(jobs))
    left = _left_waiting(experiment, statuses)
    for status in statuses:
        if status.run_id not in left:
            error = f"cancelled by kbench cancel (job {status.job_id})"
            RunDir(status.folder).fail(Failure.of(error, kind=FailureKind.CANCELLED, attempt=status.attempt))
    if left:
        raise LaunchError(
            f"{len(left)} of {len(statuses)} jobs still wait {GONE_AFTER_S:g} s after they were cancelled: "
            f"{', '.join(left.values())}",
            hint="kbench cancel again; if they stay, ask the administrator",
        )
    return [status.run for status in statuses]
