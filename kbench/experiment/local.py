"""Start runs as processes of this machine: one after the other, each with all cores, unless told otherwise."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kbench.config.lookup import find
from kbench.config.site import Site
from kbench.experiment.dependencies import RunQueue
from kbench.experiment.order import Order, Place
from kbench.experiment.plan import cores
from kbench.launch.job_script import render
from kbench.records.folders import RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Job
from kbench.records.run_state import State

POLL_S = 0.2


def script(run: RunDir, site: Site) -> str:
    """Render the job script of a run on this machine."""
    template = find(site.template or site.launcher, "jobs", ".sh", "job template")
    own = site.model_dump(include={"mpirun", "hosts", "hostfile", "mpirun_options", "setup"})
    values = {
        **own,
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
    return render(template, values, given=given)


class Children:
    """The runs that this process has started; leaving the ``with`` block ends those that still run."""

    def __init__(self, site: Site, *, max_parallel: int) -> None:
        self.site, self.max_parallel = site, max_parallel
        self._running: dict[int, tuple[RunDir, subprocess.Popen[bytes]]] = {}  # by slot

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def work_through(self, order: Order, adopted: Sequence[RunDir], tick: Callable[[], None]) -> None:
        """Run all of ``order``, at most ``max_parallel`` at a time.

        ``adopted`` are runs that an earlier ``kbench run`` left alive: they keep their place on the
        machine until they end.  A run that follows another waits until that one is done, and fails
        with it.  ``tick`` is called a few times a second.
        """
        waiting, others = RunQueue(order.runs), list(adopted)
        while waiting or self._running or others:
            others = [run for run in others if state_of(run.read()) is State.RUNNING]
            self._running = {s: (r, p) for s, (r, p) in self._running.items() if p.poll() is None}
            free = [s for s in range(self.max_parallel) if s not in self._running]
            for slot in free[: max(0, len(free) - len(others))]:
                busy = [run for run, _ in self._running.values()] + others
                run = waiting.next([one.run_id for one in busy])
                if run:
                    self._running[slot] = (run, self._start(run, slot, order.places.get(run.run_id)))
            tick()
            time.sleep(POLL_S)

    def stop(self, grace_s: float = 5.0) -> None:
        """End every child and all that it started: by SIGTERM, and by SIGKILL after ``grace_s``."""
        processes = [process for _, process in self._running.values()]
        left = [process for process in processes if _signal_group(process, signal.SIGTERM)]
        deadline = time.monotonic() + grace_s
        while left and time.monotonic() < deadline:
            time.sleep(POLL_S)
            left = [process for process in left if _signal_group(process, 0)]
        for process in left:
            _signal_group(process, signal.SIGKILL)
        for process in processes:
            process.wait()
        self._running = {}

    def _start(self, run: RunDir, slot: int, at: Place | None) -> "subprocess.Popen[bytes]":
        run.script.write_text(script(run, self.site))
        job = Job.of(self.site, attempt=run.read_attempt() + 1, max_parallel=self.max_parallel, pairing="none")
        if at and self.max_parallel == 1:  # beside others a place means little
            job = job.updated(**at._asdict())
        run.begin(job)
        with run.stdout.open("ab") as out, run.stderr.open("ab") as err, _on_cores(slot, self.max_parallel):
            process = subprocess.Popen(
                ["bash", str(run.script.resolve())],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        job.updated(id=process.pid).write(run.path)
        return process


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
