"""Calls spread over processes."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 2  # jobs asked for per process, so that none waits for the next


def in_order(do: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int) -> Iterator[Result]:
    """Call ``do`` for each of ``jobs``, which may be without end; results come in the order of the jobs."""
    if workers == 1:
        yield from map(do, jobs)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_leave_signals) as pool:
        asked: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                asked.append(pool.submit(do, job))
                if len(asked) == workers * AHEAD:
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _leave_signals() -> None:
    """Ctrl-C is for the first process; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
