"""Findings about a machine, and programs that are run for them with a time limit."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kbench.files import reason

KILLED_S = 1.0  # how long the end of a killed program is waited for
MAX_LENGTH = 200  # characters of an error output


class FindingState(StrEnum):
    """What a finding means."""

    OK = "ok"
    WARNING = "warning"  # runs start, but slower, wrongly timed, or not everywhere
    MISSING = "missing"  # not there, or of no use as it is


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found out about one part of a machine; ``needed`` says that the site cannot do without it."""

    name: str
    state: FindingState
    found: str
    remedy: str = ""
    needed: bool = False

    @property
    def is_fatal(self) -> bool:
        """Whether the site's runs cannot start."""
        return self.needed and self.state is FindingState.MISSING

    def as_dict(self) -> dict[str, Any]:
        """The finding for a program."""
        return asdict(self)


def ok(name: str, found: str) -> Finding:
    """What is there and fits."""
    return Finding(name=name, state=FindingState.OK, found=found)


def warning(name: str, found: str, remedy: str) -> Finding:
    """What is there and will disappoint."""
    return Finding(name=name, state=FindingState.WARNING, found=found, remedy=remedy)


def missing(name: str, found: str, remedy: str, *, needed: bool) -> Finding:
    """What is not there."""
    return Finding(name=name, state=FindingState.MISSING, found=found, remedy=remedy, needed=needed)


def ok_unless(complaints: Iterable[str], name: str, found: str, remedy: str, *, needed: bool) -> Finding:
    """What is there, and missing all the same if there is a complaint."""
    text = "; ".join(complaints)
    return missing(name, f"{found}; {text}", remedy, needed=needed) if text else ok(name, found)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program printed, and how it ended."""

    status: int | None  # None: it could not be started, or was given up
    out: str
    why: str  # why it was of no use, in a few words; empty when it was
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.status == 0

    @property
    def first_line(self) -> str:
        """The first line that is not blank."""
        return next((line.strip() for line in self.out.splitlines() if line.strip()), "")


def ask(command: Sequence[str], *, seconds: float, env: Mapping[str, str] | None = None) -> Answer:
    """Run a command in English, for at most so many seconds, with ``env`` added to the environment.

    One that is stuck in the kernel (a driver, a dead file system) cannot even be killed; it is left behind.
    """
    program, started = command[0], time.monotonic()
    if shutil.which(program) is None:
        return Answer(status=None, out="", why=f"{program} is not on the PATH", seconds=0.0)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            start_new_session=True,
        )
    except OSError as error:
        return Answer(status=None, out="", why=f"{program}: {reason(error)}", seconds=0.0)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _abandon(process)
        return Answer(status=None, out="", why=f"{program} gave no answer within {seconds:g} s", seconds=seconds)
    gist = _gist(err) or _gist(out) or f"it ended with status {process.returncode}"
    why = "" if process.returncode == 0 else f"{program}: {gist.removeprefix(f'{program}: ')}"
    return Answer(status=process.returncode, out=out, why=why, seconds=time.monotonic() - started)


def _abandon(process: "subprocess.Popen[str]") -> None:
    """Kill a program with all that it started, and close its pipes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=KILLED_S)


def _gist(output: str) -> str:
    """What an error output says: its last error, else the text in the boxes that MPIs draw, else its last line."""
    printable = (re.sub(r"[\x00-\x1f\x7f]", "", line).strip() for line in output.splitlines())
    lines = [line for line in printable if line.strip("-=*#")]
    errors = [line for line in lines if re.match(r"\S*(error|exception|fatal)\b.*:", line, re.IGNORECASE)]
    if errors:
        return errors[-1][:MAX_LENGTH]
    text = " ".join(lines) if re.search("^ *-----", output, re.MULTILINE) else lines[-1] if lines else ""
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]} ..."
