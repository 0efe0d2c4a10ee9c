"""What the played clusters share: daemons that live no longer than the tests, free ports, waiting for a fact."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

POLL_S = 0.1
Env = Mapping[str, str]


def need(*commands: str) -> None:
    """Skip the test where a command is missing or we are not root."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if os.geteuid():
        pytest.skip("needs root")


def wait_until(
    fact: Callable[[], bool], *, within_s: float, what: str | Callable[[], str], every_s: float = POLL_S
) -> None:
    """Look until something is so; fails with ``what`` when it is not in time."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every_s)


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nobody listens on, below those that connections take by themselves."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < number:
            port = random.SystemRandom().randrange(20_000, 32_000)
            sock = held.enter_context(socket.socket())
            with suppress(OSError):
                sock.bind(("127.0.0.1", port))
                found.append(port)
    return found


class Daemons:
    """Processes in the foreground of nobody: they end with ``stop``, or with us."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], env: Env) -> None:
        """Start a daemon that stays in the foreground of its own session."""
        with (self._log / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(env),
                start_new_session=True,
            )

    def alive(self, name: str) -> bool:
        """Whether a daemon runs."""
        return name in self._running and self._running[name].poll() is None

    def said(self, name: str) -> str:
        """What a daemon printed."""
        return (self._log / f"{name}.out").read_text(errors="replace")

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one daemon; SIGKILL waits for its end."""
        self._running[name].send_signal(number)
        if number is signal.SIGKILL:
            self._running.pop(name).wait()

    def stop(self) -> None:
        """End all of them at once, the last started first: nobody will miss what they would tidy up."""
        for name in reversed(list(self._running)):
            self.send(name, signal.SIGKILL)


def processes_with(**variables: str) -> Iterator[int]:
    """Processes that were started with these environment variables."""
    wanted = {f"{key}={value}".encode() for key, value in variables.items()}
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                yield int(folder.name)


def processes_holding(file: Path) -> Iterator[int]:
    """Processes that have a file open."""
    for held in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if held.readlink() == file:
                yield int(held.parent.parent.name)


def kill(pids: Iterable[int]) -> None:
    """End processes at once."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
