"""What a control group leaves of the machine: both versions of Linux's, as batch systems and containers use them."""

from collections.abc import Iterator
from pathlib import Path

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
