"""Cores, memory and load of this machine, and how much of it is ours."""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from kbench.doctor.item import Item, ok, warning
from kbench.doctor.limits import cpu_limit, memory_limit
from kbench.doctor.need import Need
from kbench.launch.resolve import cores
from kbench.records.provenance import processor

GIB = 2**30
SHARED_MEMORY = Path("/dev/shm")
ENOUGH_SHARED_BYTES = GIB  # data loading workers hand their batches over in it
ENOUGH_FILES = 1024
BUSY = 0.5  # of the cores


def machine(need: Need) -> Iterator[Item]:
    """Look at what the ranks get, where they run here."""
    yield judged_cores(need, quota=cpu_limit())
    yield from _memory()
    if need.on_others:  # what a login node is short of, says nothing of the others
        return
    yield _load()
    yield from _shared_memory()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < ENOUGH_FILES:
        yield warning("open files", f"at most {soft}", f"ulimit -n {ENOUGH_FILES} in the site's setup lines")


def judged_cores(need: Need, *, quota: float | None) -> Item:
    """Judge the cores that are ours; ``quota`` is how many cores' worth of time the control group allows."""
    ours, every = len(cores()), os.cpu_count() or 1
    found = f"{ours} of {every} cores, {processor()}"
    if need.here and quota is not None and quota < ours:
        remedy = f"threads_per_rank: {max(1, int(quota))} in the site file; more threads are stopped again and again"
        return warning("cores", f"{found}; the control group allows the time of {quota:g}", remedy)
    wanted = need.site.ranks_per_node * (need.site.threads_per_rank or 1)
    if need.here and wanted > ours:
        said = f"the site starts {need.site.ranks_per_node} ranks of {need.site.threads_per_rank or 1} threads"
        return warning("cores", f"{found}; {said}", "lower ranks_per_node or threads_per_rank, or times mean little")
    return ok("cores", found)


def _load() -> Item:
    load, ours = os.getloadavg()[0], len(cores())
    found = f"{load:.1f} processes want to run"
    if load > BUSY * ours:
        return warning("load", f"{found} on {ours} cores", "measured times will suffer; wait, or end what else runs")
    return ok("load", found)


def _memory() -> Iterator[Item]:
    sizes = _meminfo()
    if "MemTotal" not in sizes:
        return
    total, limit = sizes["MemTotal"], memory_limit()
    found = f"{sizes.get('MemAvailable', 0) / GIB:.1f} of {total / GIB:.1f} GiB available"
    if limit is not None and limit < total:
        found += f", the control group allows {limit / GIB:.1f} GiB"
    yield ok("memory", found)


def _meminfo() -> dict[str, int]:
    """Sizes of the system's memory [bytes]."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}


def _shared_memory() -> Iterator[Item]:
    if not SHARED_MEMORY.is_dir():
        return
    usage = shutil.disk_usage(SHARED_MEMORY)
    found = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free in {SHARED_MEMORY}"
    if usage.free < ENOUGH_SHARED_BYTES:
        remedy = "give the container more (--shm-size), or data loading workers die of a bus error"
        yield warning("shared memory", found, remedy)
    else:
        yield ok("shared memory", found)
