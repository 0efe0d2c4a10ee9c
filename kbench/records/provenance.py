"""Where and with what a run was made.  None of it is part of its name."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import NamedTuple

import kbench
from kbench.records.run_files import Provenance


def provenance() -> Provenance:
    """Collect what can be known without torch: source, versions, machine, time."""
    checkout = source()
    return Provenance(
        commit=checkout.commit,
        dirty=checkout.dirty,
        kbench_version=kbench.__version__,
        python_version=platform.python_version(),
        torch_version=version("torch"),
        numpy_version=version("numpy"),
        platform=platform.platform(),
        processor=cpu_name(),
        argv=tuple(sys.argv),
        started_at=datetime.now(UTC),
    )


def installed() -> dict[str, str]:
    """The versions of all installed packages by name, as pip freeze lists them."""
    found = {str(each.metadata["Name"]): each.version for each in distributions() if each.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda package: package[0].lower()))


def nvidia_driver() -> str | None:
    """The version of NVIDIA's driver; None without one."""
    try:
        first = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return None
    return first.removeprefix("NVRM version:").strip()


class Source(NamedTuple):
    """The source that runs; None where it is no checkout."""

    commit: str | None
    dirty: bool | None


def source() -> Source:
    """Find the last commit of kbench's source, and whether it had changes since."""
    here = Path(kbench.__file__).parent
    try:
        tracked = _git(here, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(here, "log", "-1", "--format=%H", "--", ".") if tracked else None
        return Source(commit, bool(_git(here, "status", "--porcelain", "--", ".")) if commit else None)
    except (OSError, subprocess.SubprocessError):
        return Source(None, None)


def cpu_name() -> str:
    """The name of the processor, as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        timeout=10,
    )
    return done.stdout.strip()
