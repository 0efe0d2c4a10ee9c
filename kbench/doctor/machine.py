"""Cores, memory and load of this machine, and how much of it is ours."""

import json
import os
import platform
import re
import resource
import shutil
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import kbench
from kbench.doctor.need import Item, Need, ask, missing, ok, warning
from kbench.experiment.resolve import cores
from kbench.records.provenance import processor

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
ENDLESS = 1 << 60  # how version 1 writes that there is no limit


def cpu_limit(*, own: Path = OWN, root: Path = ROOT) -> float | None:
    """How many cores' worth of time the group may use; None without a limit."""
    found = []
    for folder in _folders("cpu", own, root):
        words = _words(folder / "cpu.max") or _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        if len(words) == 2 and words[0] not in ("max", "-1"):
            found.append(int(words[0]) / int(words[1]))
    return min(found, default=None)


def memory_limit(*, own: Path = OWN, root: Path = ROOT) -> int | None:
    """How much memory the group may use [bytes]; None without a limit."""
    found = []
    for folder in _folders("memory", own, root):
        words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        if words and words[0] != "max" and int(words[0]) < ENDLESS:
            found.append(int(words[0]))
    return min(found, default=None)


def _folders(controller: str, own: Path, root: Path) -> Iterator[Path]:
    """The folders of this process's group and all groups around it; each can have a limit."""
    for line in _lines(own):
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        for top in (root / names, root / controller) if names else (root, root / "unified"):
            group = top / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


SECONDS = 10.0
KNOWN = ("apptainer", "singularity")
IMAGE = ".sif"


def container(need: Need) -> Iterator[Item]:
    """Look for the container command and its image, or for one that could be used."""
    words = need.site.container
    names = [words[0]] if words else [name for name in KNOWN if shutil.which(name)][:1]
    if not names:
        return
    version = ask(need.prepared([names[0], "--version"]), seconds=SECONDS)
    if not version.ok:
        remedy = "load its module in setup:, or take container: out of the site file"
        if need.on_others:
            yield warning("container", f"{version.why}, on this node at least", remedy)
        else:
            yield missing("container", version.why, remedy, needed=bool(words))
        return
    images = [Path(os.path.expandvars(word)) for word in words if word.endswith(IMAGE)]
    absent = [str(image) for image in images if not image.is_file()]
    if absent:
        remedy = f"{names[0]} build it, or change container: in the site file"
        yield missing("container", f"no image {', '.join(absent)}", remedy, needed=True)
    else:
        yield ok("container", ", ".join([version.first_line, *map(str, images)]))


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


def software(need: Need) -> Iterator[Item]:
    """Look at the Python that runs this command."""
    yield ok("python", f"{platform.python_version()} at {sys.executable}")
    yield ok("kbench", f"{kbench.__version__} at {Path(kbench.__file__).parent}")
    names = required()
    absent = [name for name in names if _version(name) is None]
    if absent:
        remedy = f"{sys.executable} -m pip install {' '.join(absent)}"
        yield missing("packages", f"without {', '.join(absent)}", remedy, needed=True)
    else:
        told = ", ".join(f"{name} {_version(name)}" for name in names)
        yield ok("packages", told or "kbench is not installed, only imported")


def required() -> list[str]:
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


def main() -> None:
    """Print the facts on one line."""
    print(json.dumps(facts()))


def facts() -> dict[str, Any]:
    """Versions, and each device with what came of a first calculation on it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        import torch

        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        devices = [_device(torch, n) for n in range(n_devices)]
        nccl: Any = torch.cuda.nccl
        has_nccl = n_devices and torch.distributed.is_nccl_available()
    return {
        "version": torch.__version__,
        "built_for": f"CUDA {torch.version.cuda}" if torch.version.cuda else _rocm(torch),
        "nccl": ".".join(map(str, nccl.version())) if has_nccl else "",
        "distributed": torch.distributed.is_available(),
        "devices": devices,
        "warnings": [str(warning.message).splitlines()[0] for warning in said],
    }


def _rocm(torch: Any) -> str:
    return f"ROCm {torch.version.hip}" if getattr(torch.version, "hip", None) else ""


def _device(torch: Any, number: int) -> dict[str, Any]:
    named = torch.cuda.get_device_properties(number)
    try:
        works = float(torch.ones(8, device=f"cuda:{number}").sum()) == 8.0
        trouble = "" if works else "it adds wrongly"
    except RuntimeError as error:
        trouble = str(error).splitlines()[0]
    return {"name": named.name, "memory_bytes": named.total_memory, "trouble": trouble}


if __name__ == "__main__":
    main()
