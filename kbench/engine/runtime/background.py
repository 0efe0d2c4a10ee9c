"""Background work of a strategy: on a thread of its own, or on a stream of its GPU."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch


class Background:
    """Runs works one after another in one epoch; results come at fixed steps, so that a run can be repeated.

    On a CPU the works run on one thread, one core's worth.  On a GPU they are queued on a stream of
    their own, which waits for what the training had queued by then.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._open: deque[tuple[_Job, Callable[[Any], None]]] = deque()
        self._done: list[_Job] = []
        self._thread: ThreadPoolExecutor | None = None
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def give(self, work: Callable[[], Any], then: Callable[[Any], None], *, lag: int) -> None:
        """Start ``work``; hand over the results of those that are ``lag`` works old."""
        self._open.append((self._started(work), then))
        while len(self._open) > lag:
            self._hand_over()

    def settle(self) -> float:
        """Wait for all that is open, hand it over, and return the seconds that all works took."""
        while self._open:
            self._hand_over()
        if self._thread:
            self._thread.shutdown()
        return sum(job.seconds() for job in self._done)

    def _hand_over(self) -> None:
        job, then = self._open.popleft()
        then(job.result())
        self._done.append(job)

    def _started(self, work: Callable[[], Any]) -> "_Job":
        if self._stream:
            return _Queued(work, self._stream)
        if self._thread is None:  # an OpenMP team of its own would fight the training's for the cores
            self._thread = ThreadPoolExecutor(1, "background", initializer=torch.set_num_threads, initargs=(1,))
        return _Threaded(work, self._thread)


class _Job(Protocol):
    def result(self) -> Any:
        """What the work returned, in order with what the training does next; to be called once.

        Its inputs and its result are released then: an epoch's worth of batches would fill the memory.
        """

    def seconds(self) -> float:
        """How long it took [s]; to be called when the epoch is over."""


class _Threaded(_Job):
    def __init__(self, work: Callable[[], Any], thread: ThreadPoolExecutor) -> None:
        self._seconds = 0.0
        self._future: Future[Any] | None = thread.submit(self._timed, work)

    def _timed(self, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        with torch.no_grad():
            result = work()
        self._seconds = time.perf_counter() - started
        return result

    def result(self) -> Any:
        assert self._future is not None
        future, self._future = self._future, None
        return future.result()

    def seconds(self) -> float:
        return self._seconds


class _Queued(_Job):
    def __init__(self, work: Callable[[], Any], stream: "torch.cuda.Stream") -> None:
        # What it reads is kept alive until the training's stream has waited for it.
        self._work: Callable[[], Any] | None = work
        events = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        self._start, self._end = events
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream), torch.no_grad():
            self._start.record()
            self._result = work()
            self._end.record()

    def result(self) -> Any:
        torch.cuda.current_stream(self._end.device).wait_event(self._end)
        result, self._result, self._work = self._result, None, None
        return result

    def seconds(self) -> float:
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end)) / 1000
