"""The program of a scheduler's job: train its runs one after the other, or in turns, and note how each ended.

``python -m kbench.launch.worker_job --folder RUNS [--grace S] [--limit S] [--requeue] [--token T] RUN_ID... --
COMMAND...``

COMMAND starts the ranks of the run whose folder is appended to it, or of several that take turns, as their job.json
says; which attempts they are is in their environment.  ``--token`` names the submission that the job came from: a run
that was submitted again is left to its latest job.  ``--setup-failed`` says which line of the site's setup failed: the
runs then fail with that.  SIGUSR1 says that the time limit is near: the run ends after its epoch, or without it after
``--grace`` seconds, and the job is requeued.  SIGTERM and SIGUSR2 say that the job is being ended.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from kbench import files
from kbench.files import reason
from kbench.launch import failure
from kbench.launch.schedulers.base import JobEnvironment
from kbench.launch.schedulers.registry import current_job
from kbench.records.folders import RunDir, attempts_variable
from kbench.records.run_files import Start
from kbench.records.run_state import FailureKind, State

REASONS = {  # for which no other run is started
    FailureKind.TIME_LIMIT: "the time limit of its job came near",
    FailureKind.ENDED: "its job was ended by the scheduler or by hand",
    FailureKind.PREEMPTED: "its ranks were ended by the scheduler, to make room for another job",
}
PR_SET_PDEATHSIG = 1
HEARTBEAT_S = 30.0
STALE_S = 2.0  # after which a file that another host wrote is looked at again
PREEMPTION_GRACE_S = 3.0  # what ends the ranks may be on its way to us as well


def main() -> None:
    """Train the runs; exit 0 when all are done, 1 when one is not, or with the status that requeues the job."""
    at = sys.argv.index("--")
    parser = argparse.ArgumentParser(prog="kbench.launch.worker_job")
    parser.add_argument("--grace", type=float, default=0.0, help="seconds for an epoch to end")
    parser.add_argument("--limit", type=float, help="seconds until SIGUSR1, from a scheduler that sends none")
    parser.add_argument("--requeue", action="store_true", help="put the job back into the queue at the time limit")
    parser.add_argument("--token", default="", help="of the submission; empty: the latest is taken to be this one")
    parser.add_argument("--setup-failed", default="", help="what happened to a line of the site's setup")
    parser.add_argument("--folder", type=Path, required=True, help="where the folders of the runs lie")
    parser.add_argument("runs", nargs="+", metavar="RUN_ID")
    args = parser.parse_args(sys.argv[1:at])
    runs = [RunDir(args.folder / run_id) for run_id in args.runs]
    submitted = runs[0].read().job
    here = current_job(submitted.launcher if submitted else None)
    job = Job(here, sys.argv[at + 1 :], grace_s=args.grace, requeue=args.requeue, token=args.token)
    if args.setup_failed:
        sys.exit(job.give_up(runs, args.setup_failed, hint="mend setup: in the site file, then --retry"))
    if here.components > 1:
        why = f"its job is heterogeneous: {here.components} components, each with nodes of its own kind"
        sys.exit(job.give_up(runs, why, hint="take hetjob out of the template, then --retry; a run needs equal nodes"))
    sys.exit(job.work(runs, limit_s=args.limit))


class Job:
    """One allocation of a scheduler, and the runs that are trained in it."""

    def __init__(
        self, here: JobEnvironment, command: Sequence[str], *, grace_s: float, requeue: bool, token: str = ""
    ) -> None:
        self._here, self._command, self._grace_s, self._requeue = here, list(command), grace_s, requeue
        self._token = token
        self._attempts: dict[RunDir, int] = {}  # that this job has begun
        self._stopped_by: FailureKind | None = None  # one of REASONS
        self._runs: Sequence[RunDir] = ()  # that its ranks train
        self._ranks: subprocess.Popen[bytes] | None = None

    def work(self, runs: Sequence[RunDir], *, limit_s: float | None) -> int:
        """Train what is not done of ``runs``; returns the status to exit with."""
        signal.signal(signal.SIGUSR1, self._on_time_limit)
        signal.signal(signal.SIGUSR2, self._on_end)
        signal.signal(signal.SIGTERM, self._on_end)
        signal.signal(signal.SIGALRM, self._on_alarm)
        if limit_s:
            signal.setitimer(signal.ITIMER_REAL, limit_s)
        for group in groups(runs):
            while started := [run for run in group if not self._stopped_by and self._begin(run)]:
                self._train(started)
                group = [run for run in started if failure.lost_its_block(run)]
        if all(run.is_done() for run in runs):
            return 0
        if self._stopped_by in (FailureKind.TIME_LIMIT, FailureKind.PREEMPTED) and self._requeue:
            status = self._here.requeue()
            if status == 0:
                time.sleep(60)  # the scheduler ends this job before it starts the next
            return 1 if status is None else status
        return 1

    def give_up(self, runs: Sequence[RunDir], why: str, *, hint: str) -> int:
        """Write why the runs cannot be started here; returns the status to exit with."""
        for run in runs:
            if self._begin(run):
                self._record(run, why, FailureKind.CANNOT_START, hint=hint)
        return 1

    def _begin(self, run: RunDir) -> bool:
        if self._token and not is_latest(run, self._token):
            print(f"{run.run_id} was submitted again, and is left to that job", file=sys.stderr, flush=True)
            return False
        attempt = begin(run, self._here)
        if attempt:
            self._attempts[run] = attempt
        return attempt is not None

    def _record(self, run: RunDir, why: str, kind: FailureKind, *, hint: str | None = None) -> None:
        failure.record(run, why, kind, attempt=self._attempts[run], hint=hint)

    def _train(self, runs: Sequence[RunDir]) -> None:
        self._runs, run = runs, runs[0]  # whose logs take what is printed between turns
        since = run.stderr.stat().st_size if run.stderr.exists() else 0
        with run.stdout.open("ab") as out, run.stderr.open("ab") as err:
            try:
                self._ranks = subprocess.Popen(
                    [*self._command, *(str(one.path) for one in runs)],
                    env={**os.environ, **attempts_variable([self._attempts[one] for one in runs])},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,  # signals to the job are passed on by this process,
                    preexec_fn=_end_with_parent,  # but what kills the job must not leave the ranks behind
                )
            except OSError as error:
                why = f"{self._command[0]} cannot be started: {reason(error)}"
                for one in runs:
                    self._record(one, why, FailureKind.CANNOT_START)
                return
        if self._stopped_by:  # in this very moment
            self._request_stop()
        status = _wait(self._ranks, runs)
        self._runs, self._ranks = (), None
        if all(one.is_done() for one in runs):
            return
        if not self._stopped_by and failure.ended_from_outside(run, status, since=since):
            time.sleep(PREEMPTION_GRACE_S)
            self._stopped_by = self._stopped_by or FailureKind.PREEMPTED
        if self._stopped_by and not failure.lost_node(run, since=since):
            for one in runs:
                self._record(one, REASONS[self._stopped_by], self._stopped_by)
        else:
            failure.write_all(runs, status, since=since, attempts=self._attempts)

    def _on_time_limit(self, *_: object) -> None:
        self._stopped_by = self._stopped_by or FailureKind.TIME_LIMIT
        self._request_stop()

    def _on_end(self, *_: object) -> None:
        self._stopped_by = self._stopped_by or FailureKind.ENDED
        self._signal_ranks(signal.SIGTERM)

    def _on_alarm(self, *_: object) -> None:
        if self._stopped_by:  # no time is left for the epoch
            self._signal_ranks(signal.SIGTERM)
        else:
            self._on_time_limit()

    def _request_stop(self) -> None:
        """Ask the ranks to end after their epoch, and give them until the alarm."""
        if self._stopped_by is FailureKind.ENDED or not self._grace_s:
            self._signal_ranks(signal.SIGTERM)
            return
        for run in self._runs:
            with suppress(OSError):
                run.stop.touch()
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)

    def _signal_ranks(self, number: int) -> None:
        if self._ranks:
            with suppress(ProcessLookupError):
                self._ranks.send_signal(number)


def groups(runs: Sequence[RunDir]) -> Iterator[list[RunDir]]:
    """What is trained together: each run alone or, where they take turns, all whose prerequisites came before."""
    left = list(runs)
    while left:
        ids = {run.run_id for run in left}
        ready = [run for run in left if (first := run.read_prerequisite()) is None or first.run_id not in ids]
        job = left[0].read().job
        group = ready if job and job.pairing == "turns" else left[:1]
        yield group
        left = [run for run in left if run not in group]


def _wait(ranks: "subprocess.Popen[bytes]", runs: Sequence[RunDir]) -> int:
    """Wait for the ranks, with a heartbeat in the folders of their runs; returns their exit status."""
    while True:
        for run in runs:
            with suppress(OSError):
                run.alive.touch()
        with suppress(subprocess.TimeoutExpired):
            return ranks.wait(timeout=HEARTBEAT_S)


def _end_with_parent() -> None:
    """Have this process get SIGTERM when its parent dies (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def is_latest(run: RunDir, token: str) -> bool:
    """Whether a submission is a run's latest; over a network, a node may see an old job.json for a while."""
    for wait_s in (0.0, STALE_S):
        time.sleep(wait_s)
        os.listdir(run.path)  # has the client ask for the folder's state
        job = run.read().job
        if job is None or job.token == token:
            return True
    return False


def begin(run: RunDir, here: JobEnvironment) -> int | None:
    """Record the start of an attempt in start.json, and return its number; None when the run is not to be started.

    A job that its scheduler put back into the queue begins another attempt, which only the job itself can count.  Two
    jobs that begin a run at the same moment get different numbers, and the ranks of the lower one leave.
    """
    with files.locked(run.path / ".starting", required=False):
        os.listdir(run.path)  # a node may believe for a while that there is no done.json, which another one wrote
        before = run.read()
        if before.done or before.state_on_record is State.FAILED:
            return None
        earlier = before.start
        attempt = max(before.job.attempt if before.job else 1, earlier.attempt + 1 if earlier else 1)
        attempt = run.take_attempt(attempt)
        start = Start.of(
            earlier, attempt=attempt, id=here.id, scheduler=here.scheduler, nodes=here.nodes, restarts=here.restarts
        )
        start.write(run.path)
        run.forget_end()
    prerequisite = run.read_prerequisite()
    if prerequisite and not prerequisite.is_done():
        why = f"it follows {prerequisite.run_id}, which is not done"
        failure.record(run, why, FailureKind.PREREQUISITE_MISSING, attempt=attempt)
        return None
    return attempt


if __name__ == "__main__":
    main()
