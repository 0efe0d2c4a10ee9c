"""Python, cores, memory, load and container of this machine, and what control groups leave of it."""

import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

import kbench
from kbench.doctor.need import Need
from kbench.experiment.plan import cores
from kbench.launch.diagnosis import Finding, ask, missing, ok, warning
from kbench.records.provenance import cpu_name

GIB = 2**30
SHARED_MEMORY = Path("/dev/shm")
MIN_SHARED_BYTES = GIB  # data loading workers hand their batches over in it
MIN_OPEN_FILES = 1024
BUSY = 0.5  # of the cores


def software(need: Need) -> Iterator[Finding]:
    """Look at the Python that runs this command."""
    yield ok("python", f"{platform.python_version()} at {sys.executable}")
    yield ok("kbench", f"{kbench.__version__} at {Path(kbench.__file__).parent}")
    versions = {name: _version(name) for name in required_packages()}
    absent = [name for name, found in versions.items() if found is None]
    if absent:
        remedy = f"{sys.executable} -m pip install {' '.join(absent)}"
        yield missing("packages", f"without {', '.join(absent)}", remedy, needed=True)
    else:
        listed = ", ".join(f"{name} {found}" for name, found in versions.items())
        yield ok("packages", listed or "kbench is not installed, only imported")


def required_packages() -> list[str]:
    """The packages that kbench says it needs; none where it was never installed."""
    try:
        lines = requires("kbench") or []
    except PackageNotFoundError:
        return []
    return [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def machine(need: Need) -> Iterator[Finding]:
    """Look at what the ranks get, where they run here."""
    yield judge_cores(need, quota=cpu_limit())
    yield _memory()
    if need.on_others:  # what a login node is short of, says nothing of the others
        return
    yield _load()
    yield from _shared_memory()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < MIN_OPEN_FILES:
        yield warning("open files", f"at most {soft}", f"ulimit -n {MIN_OPEN_FILES} in the site's setup lines")


def judge_cores(need: Need, *, quota: float | None) -> Finding:
    """Judge the cores that this process may use; ``quota``: of how many cores the control group allows the time."""
    usable, every = len(cores()), psutil.cpu_count() or 1
    found = f"{usable} of {every} cores, {cpu_name()}"
    if need.here and quota is not None and quota < usable:
        remedy = f"threads_per_rank: {max(1, int(quota))} in the site file; more threads are stopped again and again"
        return warning("cores", f"{found}; the control group allows the time of {quota:g}", remedy)
    threads = need.site.threads_per_rank or 1
    if need.here and need.site.ranks_per_node * threads > usable:
        excess = f"the site starts {need.site.ranks_per_node} ranks of {threads} threads"
        return warning("cores", f"{found}; {excess}", "lower ranks_per_node or threads_per_rank, or times mean little")
    return ok("cores", found)


def _load() -> Finding:
    load, usable = psutil.getloadavg()[0], len(cores())
    found = f"{load:.1f} processes want to run"
    if load > BUSY * usable:
        return warning("load", f"{found} on {usable} cores", "measured times will suffer; wait, or end what else runs")
    return ok("load", found)


def _memory() -> Finding:
    memory, limit = psutil.virtual_memory(), memory_limit()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available"
    if limit is not None and limit < memory.total:
        found += f", the control group allows {limit / GIB:.1f} GiB"
    return ok("memory", found)


def _shared_memory() -> Iterator[Finding]:
    if not SHARED_MEMORY.is_dir():
        return
    usage = shutil.disk_usage(SHARED_MEMORY)
    found = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free in {SHARED_MEMORY}"
    if usage.free < MIN_SHARED_BYTES:
        remedy = "give the container more (--shm-size), or data loading workers die of a bus error"
        yield warning("shared memory", found, remedy)
    else:
        yield ok("shared memory", found)


CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP_OF_PROCESS = Path("/proc/self/cgroup")
NO_LIMIT = 1 << 60  # how version 1 writes that there is no limit, or more


def cpu_limit(*, own: Path = CGROUP_OF_PROCESS, root: Path = CGROUP_ROOT) -> float | None:
    """How many cores' worth of time the control group may use; None without a limit.  psutil knows no groups."""
    limits = []
    for folder in _groups("cpu", own, root):
        cells = _cells(folder / "cpu.max") or _cells(folder / "cpu.cfs_quota_us") + _cells(folder / "cpu.cfs_period_us")
        if len(cells) == 2 and cells[0] not in ("max", "-1"):
            limits.append(int(cells[0]) / int(cells[1]))
    return min(limits, default=None)


def memory_limit(*, own: Path = CGROUP_OF_PROCESS, root: Path = CGROUP_ROOT) -> int | None:
    """How much memory the control group may use [bytes]; None without a limit."""
    limits = []
    for folder in _groups("memory", own, root):
        cells = _cells(folder / "memory.max") or _cells(folder / "memory.limit_in_bytes")
        if cells and cells[0] != "max" and int(cells[0]) < NO_LIMIT:
            limits.append(int(cells[0]))
    return min(limits, default=None)


def _groups(controller: str, own: Path, root: Path) -> Iterator[Path]:
    """The folders of this process's group and all groups around it, in both versions; each can have a limit."""
    for line in _lines(own):
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        for top in (root / names, root / controller) if names else (root, root / "unified"):
            group = top / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _cells(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


CONTAINERS = ("apptainer", "singularity")
IMAGE = ".sif"
CONTAINER_S = 10.0


def container(need: Need) -> Iterator[Finding]:
    """Look for the site's container command and its image, or for a command that could be used."""
    command = need.site.container
    names = [command[0]] if command else [name for name in CONTAINERS if shutil.which(name)][:1]
    if not names:
        return
    answer = ask(need.prepared([names[0], "--version"]), seconds=CONTAINER_S)
    if not answer.ok:
        remedy = "load its module in setup:, or take container: out of the site file"
        if need.on_others:
            yield warning("container", f"{answer.why}, on this node at least", remedy)
        else:
            yield missing("container", answer.why, remedy, needed=bool(command))
        return
    images = [Path(os.path.expandvars(word)) for word in command if word.endswith(IMAGE)]
    absent = [str(image) for image in images if not image.is_file()]
    if absent:
        remedy = f"{names[0]} build it, or change container: in the site file"
        yield missing("container", f"no image {', '.join(absent)}", remedy, needed=True)
    else:
        yield ok("container", ", ".join([answer.first_line, *map(str, images)]))
