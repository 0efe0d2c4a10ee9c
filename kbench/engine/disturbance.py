"""What disturbed an epoch: read off the clock before and after it, on every rank, and put together over the ranks."""

import math
import multiprocessing
import os
import resource
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch

from kbench.engine.clock import cpu_time_s
from kbench.engine.gpu_sensors import GpuReading, GpuSensors
from kbench.engine.runtime.comm import Comm

PROC = Path("/proc")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a rank reads of its threads and of its host at one moment; None is what the system does not say."""

    at: float  # [s] performance counter
    cpu_s: float  # of this rank and the processes that it started
    wait_s: float | None  # that their threads were ready to run and waited for a processor
    n_involuntary: int | None  # times that one of their threads had to leave its processor
    busy_s: float  # of all processors of the host
    steal_s: float | None  # that the hypervisor took from them
    load: float | None  # average of the last minute
    n_runnable: int | None  # tasks that run or are ready to
    pressure_s: dict[str, float]  # by resource: time in which a task waited for it


def read_host() -> Reading:
    """Read the threads of this process, of the processes that it started, and the host; takes a millisecond or two."""
    import psutil

    tasks = [PROC / str(pid) / "task" for pid in [os.getpid(), *_children()]]
    host = psutil.cpu_times()
    busy = ("user", "nice", "system", "irq", "softirq")  # user holds guest
    return Reading(
        at=time.perf_counter(),
        cpu_s=cpu_time_s(),
        wait_s=_known(lambda: sum(_waited_s(task) for place in tasks for task in place.iterdir())),
        n_involuntary=_known(_involuntary),
        busy_s=sum(getattr(host, name, 0.0) for name in busy),
        steal_s=getattr(host, "steal", None),
        load=_known(lambda: os.getloadavg()[0]),
        n_runnable=_known(lambda: int((PROC / "loadavg").read_text(encoding="utf-8").split()[3].partition("/")[0])),
        pressure_s=_pressures(),
    )


@dataclass(frozen=True, kw_only=True)
class RankDisturbance:
    """An epoch as one rank saw it, between two readings."""

    host: str
    n_processors: int  # of the host
    seconds: float  # between the readings
    start: Reading
    end: Reading
    n_threads: int  # of this rank
    mhz: float | None  # mean clock of the host's processors at the end
    gpu: GpuReading | None  # None: it trains on a CPU, or nothing is known of its GPU


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """An epoch over all ranks: the columns of the record that say what disturbed it."""

    cpu_share: float | None
    cpu_wait_s: float | None
    ctx_involuntary: int | None
    others_share: float | None
    steal_share: float | None
    load_start: float | None
    load_end: float | None
    runnable_start: int | None
    runnable_end: int | None
    cpu_mhz: float | None
    pressure_cpu: float | None
    pressure_memory: float | None
    pressure_io: float | None
    gpu_mhz: float | None
    gpu_throttled: str | None
    gpu_throttle_s: float | None
    gpu_temperature_c: float | None
    gpu_power_w: float | None
    gpu_others: int | None

    def columns(self) -> dict[str, float | int | str | None]:
        """By their names in the record."""
        return asdict(self)


class DisturbanceMonitor:
    """Reads before and after the epochs of one rank."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._gpu = GpuSensors(device) if device.type == "cuda" else None
        self._start: Reading | None = None
        self._seen: RankDisturbance | None = None

    def start(self) -> None:
        """Read before an epoch, and before the ranks meet: on the clock no rank waits for another's reading."""
        if self._gpu:
            self._gpu.start()
        self._start = read_host()

    def read_gpu(self) -> None:
        """Read the GPU while the last work of the epoch is still in its queue: idle, it shows no limits."""
        if self._gpu:
            self._gpu.stop()

    def stop(self) -> None:
        """Read after an epoch."""
        assert self._start is not None, "start comes first"
        end = read_host()
        self._seen = RankDisturbance(
            host=socket.gethostname(),
            n_processors=os.cpu_count() or 1,
            seconds=end.at - self._start.at,
            start=self._start,
            end=end,
            n_threads=torch.get_num_threads(),
            mhz=_known(_mhz),
            gpu=self._gpu.reading if self._gpu else None,
        )

    def together(self, comm: Comm, *, train_s: float, cpu_s: float) -> Disturbance:
        """What the ranks saw, as columns; every rank must call.

        Args:
            train_s: the epoch's wall time [s].
            cpu_s: its CPU time [s] over all ranks.
        """
        assert self._seen is not None, "stop comes first"
        return combined(comm.gather_objects(self._seen), train_s=train_s, cpu_s=cpu_s, device=self._device.type)


def combined(ranks: list[RankDisturbance], *, train_s: float, cpu_s: float, device: str) -> Disturbance:
    """Put together what the ranks saw: sums over their threads, the worst of their hosts and GPUs."""
    threads = sum(rank.n_threads for rank in ranks)
    gpus = [rank.gpu for rank in ranks if rank.gpu]
    known = gpus if len(gpus) == len(ranks) else []  # of some GPUs only would be said of all
    switches = [_difference(rank.start.n_involuntary, rank.end.n_involuntary) for rank in ranks]
    waits = [_difference(rank.start.wait_s, rank.end.wait_s) for rank in ranks]
    return Disturbance(
        cpu_share=cpu_s / (train_s * threads) if device == "cpu" and train_s > 0 else None,
        cpu_wait_s=_sum(waits),
        ctx_involuntary=_sum(switches),
        others_share=max(_others_share(own) for own in _by_host(ranks)),
        steal_share=_max(_rate(r, r.start.steal_s, r.end.steal_s, per=r.n_processors) for r in ranks),
        load_start=_max(rank.start.load for rank in ranks),
        load_end=_max(rank.end.load for rank in ranks),
        runnable_start=_max(rank.start.n_runnable for rank in ranks),
        runnable_end=_max(rank.end.n_runnable for rank in ranks),
        cpu_mhz=_min(rank.mhz for rank in ranks),
        pressure_cpu=_max(_pressure(rank, "cpu") for rank in ranks),
        pressure_memory=_max(_pressure(rank, "memory") for rank in ranks),
        pressure_io=_max(_pressure(rank, "io") for rank in ranks),
        gpu_mhz=_min(gpu.mhz for gpu in known),
        gpu_throttled=_reasons(known),
        gpu_throttle_s=_max(gpu.throttle_s for gpu in known),
        gpu_temperature_c=_max(gpu.temperature_c for gpu in known),
        gpu_power_w=_sum([gpu.power_w for gpu in known]),
        gpu_others=_other_processes(known),
    )


def _by_host(ranks: Iterable[RankDisturbance]) -> list[list[RankDisturbance]]:
    hosts: dict[str, list[RankDisturbance]] = {}
    for rank in ranks:
        hosts.setdefault(rank.host, []).append(rank)
    return list(hosts.values())


def _others_share(ranks: list[RankDisturbance]) -> float:
    """The share of a host's processors that others than its ranks used; the system counts in hundredths of seconds."""
    one = ranks[0]
    own_s = sum(rank.end.cpu_s - rank.start.cpu_s for rank in ranks)
    others_s = one.end.busy_s - one.start.busy_s - own_s
    return max(0.0, others_s) / (one.seconds * one.n_processors) if one.seconds > 0 else 0.0


def _pressure(rank: RankDisturbance, resource: str) -> float | None:
    return _rate(rank, rank.start.pressure_s.get(resource), rank.end.pressure_s.get(resource))


def _rate(rank: RankDisturbance, start: float | None, end: float | None, *, per: int = 1) -> float | None:
    passed = _difference(start, end)
    return None if passed is None or rank.seconds <= 0 else min(1.0, passed / (rank.seconds * per))


def _difference(start: Number | None, end: Number | None) -> Number | None:
    """How much a counter rose; 0 where a thread ended and took its count with it."""
    return None if start is None or end is None else max(type(end)(0), end - start)


def _reasons(gpus: list[GpuReading]) -> str | None:
    if not gpus or any(gpu.throttled is None for gpu in gpus):
        return None
    return ", ".join(dict.fromkeys(reason for gpu in gpus for reason in gpu.throttled or ()))


def _other_processes(gpus: list[GpuReading]) -> int | None:
    """Processes on the GPUs of the run that are none of its ranks; ids are of no use, as containers have their own."""
    counts = {gpu.uuid: gpu.n_processes for gpu in gpus}
    n_processes = _sum(list(counts.values()))
    return None if n_processes is None else max(0, n_processes - len(gpus))


def _sum(values: list[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], start=known[0]) if known and len(known) == len(values) else None


def _max(values: Iterable[Number | None]) -> Number | None:
    return max((value for value in values if value is not None), default=None)


def _min(values: Iterable[Number | None]) -> Number | None:
    return min((value for value in values if value is not None), default=None)


def _children() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def _waited_s(task: Path) -> float:
    """How long a thread was ready to run and waited for a processor [s]; 0 for one that has just ended."""
    try:
        return int((task / "schedstat").read_text(encoding="utf-8").split()[1]) / 1e9
    except FileNotFoundError:
        if not (PROC / "self" / "schedstat").exists():
            raise
        return 0.0


def _involuntary() -> int:
    """Times that a thread had to leave its processor; of other processes the main thread's."""
    import psutil

    own = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    return int(own + sum(psutil.Process(child).num_ctx_switches().involuntary for child in _children()))


def _mhz() -> float | None:
    """The mean clock of the host's processors, which the kernel tells of all at once on x86 only."""
    lines = (PROC / "cpuinfo").read_text(encoding="utf-8").splitlines()
    found = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return sum(found) / len(found) if found else None


def _pressures() -> dict[str, float]:
    """Time [s] since the start of the host in which a task waited for each resource, as far as the kernel says."""
    found = {}
    for name in ("cpu", "memory", "io"):
        with suppress(OSError, ValueError, IndexError):
            some = (PROC / "pressure" / name).read_text(encoding="utf-8").splitlines()[0]
            found[name] = float(some.rpartition("total=")[2]) / 1e6
    return found


def _known(read: Callable[[], Number | None]) -> Number | None:
    """What ``read`` finds; None where the system does not let it."""
    import psutil

    with suppress(OSError, ValueError, IndexError, AttributeError, NotImplementedError, psutil.Error):
        value = read()
        return value if value is None or not isinstance(value, float) or math.isfinite(value) else None
    return None
