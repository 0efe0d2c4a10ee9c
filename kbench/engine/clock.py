"""Timing: a lap timer in which every instant of an epoch belongs to exactly one part of it, and CPU time."""

import multiprocessing
import time
from multiprocessing.process import BaseProcess
from typing import Protocol

import torch

from kbench.records.schema import ON_CLOCK

PARTS = tuple(part.column for part in ON_CLOCK)


class _Clock(Protocol):
    def mark(self) -> None:
        """Note this moment."""

    def intervals(self) -> list[float]:
        """Seconds between successive marks, and forget them."""


class HostClock:
    """Moments on a CPU: the performance counter."""

    def __init__(self) -> None:
        self._marks: list[float] = []

    def mark(self) -> None:
        self._marks.append(time.perf_counter())

    def intervals(self) -> list[float]:
        marks, self._marks = self._marks, []
        return [b - a for a, b in zip(marks[:-1], marks[1:], strict=True)]


class DeviceClock:
    """Moments on a GPU: events in its queue, read once, when the epoch is over.

    An interval ends when the device gets there, so it holds the work that was queued in it and
    any wait for the host; nothing is synchronised before ``intervals``.
    """

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []
        self._n = 0

    def mark(self) -> None:
        if self._n == len(self._events):
            self._events.append(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
        self._events[self._n].record()
        self._n += 1

    def intervals(self) -> list[float]:
        events, self._n = self._events[: self._n], 0
        if events:
            events[-1].synchronize()
        return [a.elapsed_time(b) / 1000 for a, b in zip(events[:-1], events[1:], strict=True)]


class PhaseTimer:
    """Laps of one epoch on one rank, in seconds, added up by part."""

    def __init__(self, device: torch.device) -> None:
        self._clock: _Clock = DeviceClock() if device.type == "cuda" else HostClock()
        self._parts: list[str | None] = []

    def start(self) -> None:
        """Begin an epoch."""
        self._clock.intervals()
        self._parts = []
        self._clock.mark()

    def lap(self, part: str) -> None:
        """All that happened since the last lap was ``part`` (one of PARTS)."""
        self._clock.mark()
        self._parts.append(part)

    def skip(self) -> None:
        """What happened since the last lap belongs to no part: it was off the clock."""
        self._clock.mark()
        self._parts.append(None)

    def stop(self) -> dict[str, float]:
        """End the epoch: seconds by part.  On a GPU this waits for the device, once."""
        seconds = dict.fromkeys(PARTS, 0.0)
        for part, interval in zip(self._parts, self._clock.intervals(), strict=True):
            if part is not None:
                seconds[part] += interval
        return seconds


def cpu_time_s() -> float:
    """CPU time [s] since some moment, over all threads of this process and of the living processes that it started."""
    return time.process_time() + sum(map(_cpu_time_s, multiprocessing.active_children()))


def _cpu_time_s(child: BaseProcess) -> float:
    """What a process has used [s]; 0 where the system does not tell."""
    import psutil

    try:
        times = psutil.Process(child.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
