"""Turns: the runs of a block in one process, each for an epoch while the others wait off the clock.

What slows a machine for seconds or minutes then falls on all of them alike.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TextIO

import torch

from kbench.engine.loop import Run
from kbench.engine.metrics import peak_memory_bytes
from kbench.engine.runtime.comm import Comm
from kbench.errors import RunError
from kbench.records.folders import RunDir
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind

HANGS_AFTER_S = 600.0  # a turn that takes so long hangs, and
HANGS_AFTER_TURNS = 20  # so many times as long as the longest before
FIRST_TURN_S = 3600.0  # builds, compiles and reads for the first time


@dataclass(eq=False)
class Player:
    """A run that takes turns."""

    folder: RunDir
    epochs: Iterator[Run]  # yields when an epoch is on record
    run: Run | None = None  # None: it had no turn yet
    n_turns: int = 0


@dataclass
class Round:
    """The runs that take turns in this process, until each has ended.

    Whatever a run raises is raised, with ``playing`` saying which run it was.
    """

    players: list[Player]
    comm: Comm
    device: torch.device
    playing: Player | None = None
    longest_s: float = 0.0  # of all turns but the first ones
    _last: Player | None = None

    def play(self) -> None:
        """Give turns, round by round; a run that ends leaves."""
        n = 0
        before = peak_memory_bytes(self.device)
        while self.players:
            for place in order(len(self.players), n):
                self._turn(self.players[place])
                if n == 0 and place == 0 and len(self.players) > 1:
                    self._check_memory(peak_memory_bytes(self.device) - before)
            self.players = [player for player in self.players if player.run is not None]
            n += 1

    def _turn(self, player: Player) -> None:
        if player.n_turns and not self.comm.min(int(not player.folder.stop.exists())):
            player.run = None  # it was told to end, and stands on record as it is
            return
        self.playing, began = player, perf_counter()
        if player.run is not None:
            player.run.has_waited = self._last is not player
        is_first = player.n_turns == 0
        limit_s = FIRST_TURN_S if is_first else max(HANGS_AFTER_S, HANGS_AFTER_TURNS * self.longest_s)
        with in_turn(player.folder, rank=self.comm.rank, limit_s=limit_s):
            player.run = next(player.epochs, None)
        player.n_turns += 1
        self._last, self.playing = player, None
        if not is_first:
            self.longest_s = max(self.longest_s, perf_counter() - began)

    def _check_memory(self, grown: int) -> None:
        """Raise RunError where the others do not fit beside the first run, which grew by so many bytes."""
        n_others = len(self.players) - 1
        need, free = grown * n_others * self._ranks_here(), free_bytes(self.device)
        amounts = f"the others need about {need / 1e9:.2f} GB, {free / 1e9:.2f} GB are free"
        text = f"{len(self.players)} runs take turns: {amounts}"
        if self.comm.rank == 0:
            print(text, flush=True)
        if not self.comm.min(int(need <= free)):
            self.playing = self.players[1]
            raise RunError(text, hint="train them one after the other: --pairing none, or node on a cluster")

    def _ranks_here(self) -> int:
        """Ranks that share the memory of this one."""
        here = os.uname().nodename
        return 1 if self.device.type == "cuda" else self.comm.gather_text(here).count(here)


def order(n: int, turn: int) -> list[int]:
    """The order of n runs in a round: over rounds each has every place, and follows every other, equally often.

    Rows of a Williams square (Williams 1949): n of them, or 2 n where n is odd.
    """
    first = [0]
    for i in range(1, n):
        first.append((i + 1) // 2 if i % 2 else n - i // 2)
    row = [(place + turn) % n for place in first]
    return row[::-1] if n % 2 and turn // n % 2 else row


@contextmanager
def in_turn(folder: RunDir, *, rank: int, limit_s: float) -> Iterator[None]:
    """A turn: what is printed goes to the run's own logs, and its end is waited for no longer than ``limit_s``.

    The file ``turn`` in a run's folder is left where the process ended within its turn.
    """
    if rank:
        yield
        return
    with suppress(OSError):
        folder.turn.touch()
    watch = threading.Timer(limit_s, _hangs, [folder, limit_s])
    watch.daemon = True
    watch.start()
    try:
        with _log(folder.stdout) as out, _log(folder.stderr) as err, redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        watch.cancel()
    folder.turn.unlink(missing_ok=True)


def _log(path: Path) -> TextIO:
    return path.open("a", encoding="utf-8", errors="backslashreplace")


def _hangs(folder: RunDir, limit_s: float) -> None:
    """End this process: the others go on in another one."""
    text = f"hangs: no end of its epoch after {limit_s:.0f} s"
    folder.fail(Failure.of(text, kind=FailureKind.RAISED, attempt=folder.read_attempt() or 1))
    print(f"error: {text}", file=sys.stderr, flush=True)
    os._exit(1)


def free_bytes(device: torch.device) -> int:
    """What more this process can have: of the device, or of the host."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def whose_turn(runs: Sequence[RunDir]) -> RunDir | None:
    """The run in whose turn a process ended; None where it ended between turns or before the first."""
    return next((run for run in runs if run.turn.exists()), None)
