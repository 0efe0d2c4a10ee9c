"""Python, kbench, and the packages that it stands on."""

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import kbench
from kbench.doctor.item import Item, missing, ok
from kbench.doctor.need import Need


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
