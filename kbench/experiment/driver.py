"""Drive an experiment: start or submit the runs that are missing, follow them, and report where they stand."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kbench.errors import RunError
from kbench.experiment.local import Children
from kbench.experiment.lock import check_no_driver, driver_lock
from kbench.experiment.plan import Plan, shuffled, starts_again
from kbench.experiment.status import SCHEDULED, Progress, RunStatus, StatusMonitor
from kbench.experiment.submit import submit
from kbench.records import register, store
from kbench.records.liveness import is_here, state_of
from kbench.records.run_state import State

POLL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """Where the runs stand that ``kbench run`` was asked for, when it returns."""

    experiment: str
    folder: Path  # results/<experiment>
    runs: tuple[RunStatus, ...]
    waited: bool  # until the runs had ended
    process: int | None = None  # of this machine, which starts the runs that were not waited for
    log: Path | None = None  # that it writes

    def raise_failures(self) -> None:
        """Raise RunError when a run has failed, or ended without a word."""
        failed = [one for one in self.runs if one.state in (State.FAILED, State.CANCELLED)]
        if failed:
            first = failed[0]
            raise RunError(
                f"{len(failed)} of {len(self.runs)} runs failed; {first.run_id}: {first.error}",
                hint=f"kbench logs {first.run_id} shows what it printed; kbench run --retry starts failed runs again",
            )
        lost = [one for one in self.runs if one.state in (State.INTERRUPTED, State.MISSING)]
        if lost:
            first, why = lost[0], "its job script was killed or left early"
            raise RunError(
                f"{len(lost)} of {len(self.runs)} runs ended without a word; {first.run_id} is {first.state}",
                hint=f"{first.why or why}; kbench logs {first.run_id} shows what it printed, "
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
    if plan.site.launcher in SCHEDULED:
        submit(plan, progress.log)
        if not wait:
            return _report(plan, waited=False)
        _wait(plan, progress)
    elif wait is False:
        return _detach(plan)
    else:
        _run_here(plan, progress)
    store.gather(plan.folder, StatusMonitor(plan.folder).state_of)
    return _report(plan, waited=True)


def _report(plan: Plan, *, waited: bool, process: int | None = None, log: Path | None = None) -> RunReport:
    monitor = StatusMonitor(plan.folder)
    return RunReport(
        experiment=plan.name,
        folder=plan.folder.path,
        runs=tuple(monitor.status_of(run.read()) for run in plan.run_dirs),
        waited=waited,
        process=process,
        log=log,
    )


def _run_here(plan: Plan, progress: Progress) -> None:
    """Start what is missing on this machine and stay until it has ended; Ctrl-C ends the children."""
    folder, runs, max_parallel = plan.folder, plan.run_dirs, plan.request.max_parallel or 1
    retry = plan.request.retry
    with driver_lock(folder):
        register.take(folder, plan.runs, plan.text)
        monitor = StatusMonitor(folder)
        seen = {folder.run(run.run_id): run for run in folder.read()}
        queued = [run for run, at in seen.items() if at.job and at.job.launcher in SCHEDULED and not at.done]
        queued = [run for run in queued if monitor.state_of(seen[run]) in (State.WAITING, State.RUNNING)]
        alive = [run for run in seen if run not in queued and state_of(seen[run]) is State.RUNNING]
        hosts = {run: job.host for run in alive if (job := seen[run].job) and not is_here(job.host)}
        for run, host in () if retry else hosts.items():
            progress.log(f"{run.run_id} runs on {host}; if it is gone, --retry starts it again")
        idle = [run for run in runs if run not in queued]
        missing = [run for run in idle if starts_again(state_of(seen[run]), retry=retry) or (retry and run in hosts)]
        adopted = [run for run in alive if run not in hosts]
        if not missing and not adopted:
            return
        queue = shuffled(missing, folder, max_parallel=max_parallel)
        progress.log(f"{len(queue)} of {len(runs)} runs to start, with {plan.site.launcher}")
        children = Children(plan.site, max_parallel=max_parallel)
        try:
            with _signals_as_interrupts(), progress.following(folder, runs) as tick, children:
                children.work_through(queue, adopted, tick)
        except KeyboardInterrupt:
            left = sum(state_of(run.read()) is not State.DONE for run in runs)
            raise KeyboardInterrupt(
                f"interrupted; {left} of {len(runs)} runs are left, kbench run starts them"
            ) from None


def _wait(plan: Plan, progress: Progress) -> None:
    """Wait until submitted runs have ended; Ctrl-C ends the waiting."""
    monitor = StatusMonitor(plan.folder)
    try:
        with progress.following(plan.folder, plan.run_dirs) as tick:
            while {State.WAITING, State.RUNNING} & set(monitor.states(plan.run_dirs)):
                tick()
                time.sleep(POLL_S)
                monitor.refresh()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the runs go on; kbench status {plan.name} tells how they stand") from None


def _detach(plan: Plan) -> RunReport:
    """Let another process do the same and stay; this one is done."""
    log = plan.folder.path / "front.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "kbench", "run", "--wait", *plan.request.arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return _report(plan, waited=False, process=process.pid, log=log)


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """A request to end, whoever sends it, is a Ctrl-C."""

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
