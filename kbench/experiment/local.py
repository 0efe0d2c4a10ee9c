"""Start runs as processes of this machine: one after the other, each with all cores, unless told otherwise."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kbench.config.lookup import find
from kbench.config.rank_variables import without_ranks
from kbench.config.site import Site
from kbench.errors import ConfigError
from kbench.experiment.dependencies import RunQueue
from kbench.experiment.order import Order
from kbench.experiment.plan import cores
from kbench.launch.failure import lost_its_block
from kbench.launch.job_script import render
from kbench.records.folders import RunDir, attempts_variable
from kbench.records.liveness import state_of
from kbench.records.run_files import Job
from kbench.records.run_state import State

POLL_S = 0.2


def script(run: RunDir, site: Site, *, in_turns: bool = False) -> str:
    """Render the job script of a run on this machine; of several ``in_turns`` the others' folders are its arguments.

    Raises ConfigError where the site's template has no place for them.
    """
    template = find(site.template or site.launcher, "jobs", ".sh", "job template")
    own = site.model_dump(include={"mpirun", "hosts", "hostfile", "mpirun_options", "setup"})
    values = {
        **own,
        "mpirun_unset": "mpirun_options" not in site.model_fields_set,
        "run_dir": run.path.resolve(),
        "host_python": sys.executable,
        "python": [*site.container, site.python or sys.executable],
        "ranks": site.ranks,
        "nodes": site.nodes,
        "ranks_per_node": site.ranks_per_node,
        "threads_per_rank": site.threads_per_rank,
    }
    needless = {"mpirun"} if site.launcher == "local" else set()
    given = {key: own[key] for key in own.keys() & site.model_fields_set - needless if own[key]}
    if site.container or site.python:
        given["python"] = values["python"]
    text = render(template, values, given=given)
    if in_turns and '"$@"' not in text:
        raise ConfigError(
            f'{template}: trains one run; with --pairing turns the folders of others are its arguments ("$@")',
            hint='write "$@" behind run_dir, as jobs/local.sh does, or choose another pairing',
        )
    return text


class Children:
    """The runs that this process has started; leaving the ``with`` block ends those that still run."""

    def __init__(self, site: Site, *, max_parallel: int, in_turns: bool = False) -> None:
        self.site, self.max_parallel, self._in_turns = site, max_parallel, in_turns
        self._running: dict[int, tuple[list[RunDir], subprocess.Popen[bytes]]] = {}  # by slot

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def work_through(self, order: Order, adopted: Sequence[RunDir], tick: Callable[[], None]) -> None:
        """Run all of ``order``, at most ``max_parallel`` at a time.

        ``adopted`` are runs that an earlier ``kbench run`` left alive: they keep their place on the
        machine until they end.  A run that follows another waits until that one is done, and fails
        with it.  Runs that take turns are started together, those of a pair and a seed that may start; a run whose
        process ended in another's turn is started again.  ``tick`` is called a few times a second.
        """
        waiting, others = RunQueue(order.runs), list(adopted)
        while waiting or self._running or others:
            others = [run for run in others if state_of(run.read()) is State.RUNNING]
            ended = [slot for slot, (_, process) in self._running.items() if process.poll() is not None]
            for slot in ended:
                waiting.put_back([run for run in self._running.pop(slot)[0] if lost_its_block(run)])
            free = [s for s in range(self.max_parallel) if s not in self._running]
            for slot in free[: max(0, len(free) - len(others))]:
                busy = [run for runs, _ in self._running.values() for run in runs] + others
                runs = waiting.next_runs([one.run_id for one in busy], in_turns=self._in_turns)
                if runs:
                    self._running[slot] = (runs, self._start(runs, slot, order))
            tick()
            time.sleep(POLL_S)

    def stop(self, grace_s: float = 5.0) -> None:
        """End every child and all that it started: by SIGTERM, and by SIGKILL after ``grace_s``."""
        processes = [process for _, process in self._running.values()]
        left = [process for process in processes if _signal_group(process, signal.SIGTERM)]
        for process in left:
            _signal_group(process, signal.SIGCONT)  # those that are stopped get the other only then
        deadline = time.monotonic() + grace_s
        while left and time.monotonic() < deadline:
            time.sleep(POLL_S)
            left = [process for process in left if _signal_group(process, 0)]
        for process in left:
            _signal_group(process, signal.SIGKILL)
        for process in processes:
            process.wait()
        self._running = {}

    def _start(self, runs: Sequence[RunDir], slot: int, order: Order) -> "subprocess.Popen[bytes]":
        jobs = [self._job(run, order) for run in runs]
        for run, job in zip(runs, jobs, strict=True):
            run.begin(job)
        run, *others = runs
        run.script.write_text(script(run, self.site, in_turns=self._in_turns), encoding="utf-8")
        allocation = self.site.nodes > 1 and not (self.site.hosts or self.site.hostfile)  # whose hosts mpirun may use
        variables = attempts_variable([job.attempt for job in jobs])
        with run.stdout.open("ab") as out, run.stderr.open("ab") as err, _on_cores(slot, self.max_parallel):
            process = subprocess.Popen(
                ["bash", str(run.script.resolve()), *(str(other.path.resolve()) for other in others)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=without_ranks(os.environ, allocation=allocation) | variables,
                start_new_session=True,
            )
        for one, job in zip(runs, jobs, strict=True):
            job.updated(id=process.pid).write(one.path)
        return process

    def _job(self, run: RunDir, order: Order) -> Job:
        pairing = "turns" if self._in_turns else "none"
        job = Job.of(self.site, attempt=run.read_attempt() + 1, max_parallel=self.max_parallel, pairing=pairing)
        at = order.places.get(run.run_id)
        if at and self.max_parallel == 1 and not self._in_turns:  # beside others, and in turns, a place means little
            return job.updated(**at._asdict())
        return job


def _signal_group(process: "subprocess.Popen[bytes]", sign: int) -> bool:
    """Send a signal to a job and all that it started; returns whether any of these processes was left."""
    process.poll()
    try:
        os.killpg(process.pid, sign)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _on_cores(slot: int, max_parallel: int) -> Iterator[None]:
    """Pin what is started inside the ``with`` block to the slot's part of the cores; this process keeps all."""
    every = cores()
    share = max(1, len(every) // max_parallel)
    first = slot * share % len(every)
    part = every[first : first + share] if max_parallel > 1 else every
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    os.sched_setaffinity(0, part)
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)
