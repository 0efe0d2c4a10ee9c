"""Ask a program, and never wait for one that hangs."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

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
