"""Calls spread over processes, their results in order."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2  # chunks submitted for each process, so that none waits for the next


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, chunk: int = 1
) -> Iterator[Result]:
    """Call a function for each item, of which there may be no end; results come in the order of the items.

    Args:
        function: Can be pickled, as it is called in new processes; with one worker it is called in this one.
        items: Taken no further ahead than the processes need.
        workers: Processes.
        chunk: Items that a process takes at a time.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    remaining = iter(items)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_ignore_ctrl_c) as pool:
        pending: deque[Future[list[Result]]] = deque()
        try:
            while some := list(islice(remaining, chunk)):
                pending.append(pool.submit(_call_each, function, some))
                if len(pending) == workers * AHEAD:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _call_each(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


def _ignore_ctrl_c() -> None:
    """Ctrl-C is for the first process; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
