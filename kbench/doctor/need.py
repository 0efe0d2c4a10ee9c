"""What a site asks of the machine that the doctor stands on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from kbench.config.site import Site
from kbench.errors import KBenchError
from kbench.experiment.resolve import resolved
from kbench.launch.schedulers.registry import is_scheduler


class State(StrEnum):
    """What a finding means."""

    OK = "ok"
    WARNING = "warning"  # runs start, but slower, wrongly timed, or not everywhere
    MISSING = "missing"  # not there, or of no use as it is


@dataclass(frozen=True, kw_only=True)
class Item:
    """A finding; ``needed`` says that the site cannot do without it."""

    name: str
    state: State
    found: str
    remedy: str = ""
    needed: bool = False

    @property
    def is_fatal(self) -> bool:
        """Whether the site's runs cannot start."""
        return self.needed and self.state is State.MISSING

    def as_dict(self) -> dict[str, Any]:
        """The finding for a program."""
        return asdict(self)


def ok(name: str, found: str) -> Item:
    """What is there and fits."""
    return Item(name=name, state=State.OK, found=found)


def warning(name: str, found: str, remedy: str) -> Item:
    """What is there and will disappoint."""
    return Item(name=name, state=State.WARNING, found=found, remedy=remedy)


def missing(name: str, found: str, remedy: str, *, needed: bool) -> Item:
    """What is not there."""
    return Item(name=name, state=State.MISSING, found=found, remedy=remedy, needed=needed)


def judged(name: str, found: str, complaints: Iterable[str], remedy: str, *, needed: bool) -> Item:
    """What is there, and missing all the same if there is a complaint."""
    said = "; ".join(complaints)
    return missing(name, f"{found}; {said}", remedy, needed=needed) if said else ok(name, found)


@dataclass(frozen=True, kw_only=True)
class Need:
    """A site by its name, what its launcher means here, and where results are to lie."""

    name: str
    site: Site
    results: Path
    launcher: str  # "auto" where this machine cannot do what the site asks
    chosen: Item

    @property
    def here(self) -> bool:
        """Whether ranks run on this very machine; a login node may lack what the others have."""
        return not self.on_others

    @property
    def on_others(self) -> bool:
        """Whether ranks run on other machines than this, which must see the same files."""
        return is_scheduler(self.launcher) or self.site.nodes > 1 or bool(self.site.hosts or self.site.hostfile)

    @property
    def python(self) -> list[str]:
        """The command that is Python to the ranks."""
        return [*self.site.container, self.site.python or sys.executable]

    def prepared(self, words: Sequence[str]) -> list[str]:
        """A command behind the site's setup lines, as in a job script."""
        if not self.site.setup:
            return list(words)
        return ["bash", "-c", "\n".join([*self.site.setup, 'exec "$@"']), "bash", *words]


def need_of(path: Path, site: Site, *, results: Path) -> Need:
    """What a site asks of this machine."""
    name = path.name.removesuffix(".yaml")
    try:
        launcher = resolved(site, launcher="auto", max_parallel=1).launcher
        means = f", here {launcher}" if site.launcher == "auto" else ""
        chosen = ok("site", f"{name}: {path}, launcher {site.launcher}{means}")
    except KBenchError as error:
        launcher = site.launcher
        chosen = missing("site", f"{name}: {path}, {error.message}", error.hint, needed=True)
    return Need(name=name, site=site, results=results, launcher=launcher, chosen=chosen)


LAST_WORDS_S = 1.0
AT_MOST = 200  # characters of an error output


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program said."""

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
        """The first line with words in it."""
        return next((line.strip() for line in self.out.splitlines() if line.strip()), "")


def ask(words: Sequence[str], *, seconds: float, env: Mapping[str, str] | None = None) -> Answer:
    """Run a command in English, for at most so many seconds, with ``env`` on top of ours.

    One that is stuck in the kernel (a driver, a dead file system) cannot even be killed; it is left behind.
    """
    begun = time.monotonic()
    if shutil.which(words[0]) is None:
        return Answer(status=None, out="", why=f"{words[0]} is not on the PATH", seconds=0.0)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            start_new_session=True,
        )
    except OSError as error:
        return Answer(status=None, out="", why=f"{words[0]}: {error.strerror}", seconds=0.0)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _abandon(process)
        return Answer(status=None, out="", why=f"{words[0]} gave no answer within {seconds:g} s", seconds=seconds)
    gist = _gist(err) or _gist(out) or f"it ended with status {process.returncode}"
    why = "" if process.returncode == 0 else f"{words[0]}: {gist.removeprefix(f'{words[0]}: ')}"
    return Answer(status=process.returncode, out=out, why=why, seconds=time.monotonic() - begun)


def _abandon(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=LAST_WORDS_S)


def _gist(said: str) -> str:
    """What an error output tells: its last error, else the text in the boxes that MPIs draw, else its last line."""
    printable = (re.sub(r"[\x00-\x1f\x7f]", "", line).strip() for line in said.splitlines())
    lines = [line for line in printable if line.strip("-=*#")]
    errors = [line for line in lines if re.match(r"\S*(error|exception|fatal)\b.*:", line, re.IGNORECASE)]
    if errors:
        return errors[-1][:AT_MOST]
    text = " ".join(lines) if re.search("^ *-----", said, re.MULTILINE) else lines[-1] if lines else ""
    return text if len(text) <= AT_MOST else f"{text[:AT_MOST]} ..."
