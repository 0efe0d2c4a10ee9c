"""Whether this machine is quiet enough to take times on: a short look at its processors and who uses them."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from kbench.experiment.plan import cores
from kbench.records.disturbance import OTHERS

LOOK_S = 0.3  # a process's time is counted in steps of 0.01 s
POLL_S = 5.0  # between two looks while waiting
NAMED = 3  # processes that a sentence names
MENTIONED = 0.05  # of a processor, that makes a process worth naming


@dataclass(frozen=True)
class User:
    """A process that used processors while somebody looked."""

    name: str
    pid: int
    cores: float  # processors in use, 1.0 is a whole one

    def __str__(self) -> str:
        return f"{self.name} ({self.pid}) {100 * self.cores:.0f} %"


@dataclass(frozen=True, kw_only=True)
class MachineLoad:
    """How busy the processors that this process may use were, without its own work."""

    n_cores: int
    in_use: float  # processors
    load: float | None  # load average of a minute; None where the system has none
    users: tuple[User, ...]  # the busiest first

    @property
    def is_busy(self) -> bool:
        """Whether a run started now would share its processors."""
        return self.in_use > OTHERS * self.n_cores

    @property
    def text(self) -> str:
        """The load and the busiest processes, in words."""
        load = "" if self.load is None else f", load {self.load:.1f}"
        names = ", ".join(map(str, self.users[:NAMED]))
        return f"{self.in_use:.1f} of {self.n_cores} processors in use{load}{': ' if names else ''}{names}"


def look(seconds: float = LOOK_S) -> MachineLoad:
    """Watch the processors that this process may use for some seconds."""
    before, idle_before, began = _times(), _idle_s(), time.monotonic()
    time.sleep(seconds)
    after, idle, spent = _times(), _idle_s(), time.monotonic() - began
    used = {
        key: (seconds - before[key][1] if key in before else seconds) / spent for key, (_, seconds) in after.items()
    }
    own = sum(share for (pid, _), share in used.items() if pid == os.getpid())
    others = [User(after[key][0], key[0], share) for key, share in used.items() if key[0] != os.getpid()]
    n_cores = len(cores())
    return MachineLoad(
        n_cores=n_cores,
        in_use=max(0.0, n_cores - (idle - idle_before) / spent - own),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        users=tuple(sorted((user for user in others if user.cores > MENTIONED), key=lambda user: -user.cores)),
    )


def warn_if_busy(
    log: Callable[[str], None],
    *,
    wait_min: float | None = None,
    look: Callable[[], MachineLoad] = look,
    sleep: Callable[[float], None] = time.sleep,
) -> MachineLoad:
    """Warn when this machine is busy, before runs start on it.

    Args:
        log: Takes the sentences.
        wait_min: Wait up to that many minutes until it is quiet; None: do not wait.
        look, sleep: How the machine is watched, and how time passes.

    Returns:
        What was seen last.
    """
    seen, waited_s = look(), 0.0
    if seen.is_busy and wait_min:
        log(f"waiting up to {wait_min:g} min for a quiet machine: {seen.text}")
        while seen.is_busy and waited_s < 60 * wait_min:
            sleep(min(POLL_S, 60 * wait_min - waited_s))
            waited_s += POLL_S
            seen = look()
        if not seen.is_busy:
            log(f"quiet after {waited_s / 60:.1f} min: {seen.text}")
    if seen.is_busy:
        advice = "it stayed so" if waited_s else "--wait-for-quiet 30 waits up to 30 minutes for quiet"
        log(f"warning: this machine is busy, and times taken now are disturbed: {seen.text}; {advice}")
    return seen


def _idle_s() -> float:
    """Seconds that the processors which this process may use have been idle."""
    every = psutil.cpu_times(percpu=True)
    numbers: Sequence[int] = [core for core in cores() if core < len(every)]
    return float(sum(every[core].idle + getattr(every[core], "iowait", 0.0) for core in numbers))


def _times() -> Mapping[tuple[int, float], tuple[str, float]]:
    """Name and processor seconds of every process that may be looked at, by its id and when it began."""
    found = {}
    for process in psutil.process_iter(["pid", "name", "cpu_times", "create_time"]):
        if times := process.info["cpu_times"]:
            key = process.info["pid"], process.info["create_time"]
            found[key] = str(process.info["name"]), times.user + times.system
    return found
