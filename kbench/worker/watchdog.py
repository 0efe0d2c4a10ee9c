"""The watchdog of a run: it ends ranks in which nothing happens any more, and says which of them hangs where."""

import faulthandler
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from types import FrameType

from kbench import files
from kbench.engine.runtime.comm import Comm
from kbench.errors import RunError
from kbench.records.folders import RunDir
from kbench.records.liveness import quiet_limit_s
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind

TICK_S = 5.0
GRACE_S = 15.0  # in which each rank says where it is
UNHEARD_S = 45.0  # after which a rank ends without Python's help, which something may hold
WAITING_IN = ("_engine_run_backward", "_reducer", "all_reduce", "barrier")  # functions that wait for other ranks


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a rank is that has done nothing for long."""

    rank: int
    host: str
    place: str  # file, line and function
    waits_for: str = ""  # what it does together with other ranks; empty: it does something by itself
    quiet_s: float = 0.0


class Watchdog:
    """Watches this rank from a thread of its own, while the ``with`` block lasts.

    Args:
        run: Returns the folder of the run that this process trains now.
        attempt: Which attempt that is.
        comm: The ranks; every rank must make a watchdog at the same place.
        limit_s: After how many seconds without a step, a collective or the end of an epoch the run is ended; None: ten
            times its slowest epoch so far, at least ten minutes, and an hour before the first epoch has ended.
    """

    def __init__(
        self, run: Callable[[], RunDir], attempt: Callable[[RunDir], int], comm: Comm, *, limit_s: float | None
    ):
        self._run, self._attempt, self._comm, self._limit_s = run, attempt, comm, limit_s
        self._hosts = comm.gather_text(socket.gethostname())
        self._n_steps = self._n_epochs = 0
        self._is_armed = False
        self._slowest_s = 0.0
        self._epoch_began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def arm(self) -> None:
        """From now on the site's limit counts: the data is there, and the training begins."""
        self._is_armed, self._epoch_began = True, time.monotonic()

    def step(self) -> None:
        """Note that a batch has been trained."""
        self._n_steps += 1

    def end_epoch(self) -> None:
        """Note that an epoch has been trained, evaluated and saved."""
        now = time.monotonic()
        self._slowest_s = max(self._slowest_s, now - self._epoch_began)
        self._epoch_began = now
        self._n_epochs += 1

    @property
    def limit_s(self) -> float:
        """How long nothing may happen [s]."""
        if self._limit_s is not None and self._is_armed:
            return self._limit_s
        return quiet_limit_s(self._slowest_s if self._n_epochs else None)

    def _watch(self, main: int) -> None:
        before, steps_before, changed_at = (0, 0, 0, False), 0, time.monotonic()
        while not self._over.wait(min(TICK_S, self.limit_s / 4)):
            now = time.monotonic()
            seen = (self._n_steps, self._n_epochs, self._comm.n_collectives, self._is_armed)
            if seen != before:
                before, changed_at = seen, now
            if self._comm.rank == 0 and self._n_steps != steps_before:
                steps_before = self._n_steps
                with suppress(OSError):
                    self._run().last_step.touch()
            if now - changed_at > self.limit_s:
                self._end(main, now - changed_at)
            # In C, for where the interpreter itself is held; this thread then cannot put it off.
            left_s = self.limit_s - (now - changed_at) + UNHEARD_S
            faulthandler.dump_traceback_later(max(1.0, left_s), exit=True, file=sys.__stderr__ or 2)

    def _end(self, main: int, quiet_s: float) -> None:
        """Say where each rank is, put on record which hangs, and end this process; never returns."""
        run = self._run()
        faulthandler.dump_traceback(file=sys.__stderr__ or 2)
        where = run.path / f"hang-{self._attempt(run)}"
        own = position(sys._current_frames().get(main), self._comm, quiet_s=quiet_s)
        with suppress(OSError):
            where.mkdir(exist_ok=True)
            files.write_json(where / f"{own.rank}.json", asdict(own))
        found, deadline = [own], time.monotonic() + GRACE_S
        while len(found) < self._comm.size and time.monotonic() < deadline:
            time.sleep(0.2)
            every = [files.read_json(where / f"{rank}.json") for rank in range(self._comm.size)]
            found = [Position(**one) for one in every if one.keys() == {field.name for field in fields(Position)}]
        text, rank = verdict(found, self._hosts)
        hint = (
            "stderr.log holds the stacks of all threads; hang_limit_s in the site file allows more time, then --retry"
        )
        failure = Failure.of(text, kind=FailureKind.HANG, attempt=self._attempt(run), hint=hint, rank=rank)
        with suppress(Exception):  # a file system that hangs as well
            run.fail(failure)
        print(f"error: {text}", file=sys.__stderr__, flush=True)
        os._exit(RunError.exit_code)


def position(frame: FrameType | None, comm: Comm, *, quiet_s: float) -> Position:
    """Where this rank is, by the stack of its main thread."""
    stack = traceback.extract_stack(frame) if frame else []
    waits_for = comm.doing or next((one.name for one in stack if one.name in WAITING_IN), "")
    last = stack[-1] if stack else None
    place = f"{'/'.join(last.filename.split('/')[-3:])}:{last.lineno} in {last.name}" if last else "an unknown place"
    return Position(
        rank=comm.rank,
        host=socket.gethostname(),
        place=place,
        waits_for=waits_for if comm.size > 1 else "",
        quiet_s=quiet_s,
    )


def verdict(found: Sequence[Position], hosts: Sequence[str]) -> tuple[str, int]:
    """Which rank hangs, as a sentence, and its number: one that said nothing, else one that waits for no other.

    Args:
        found: Where ranks said that they are.
        hosts: Of all ranks.
    """
    quiet_s = max((one.quiet_s for one in found), default=0.0)
    silent = [rank for rank in range(len(hosts)) if rank not in {one.rank for one in found}]
    if silent:
        rank, what = silent[0], "gives no sign of life: it is stopped, or code without Python holds it"
    else:
        one = next((one for one in found if not one.waits_for), found[0])
        rank, what = one.rank, f"is in {one.place}" + (f" ({one.waits_for})" if one.waits_for else "")
    others = f"; {len(hosts) - 1} other ranks wait" if len(hosts) > 1 else ""
    return f"hangs: nothing has happened for {quiet_s:.0f} s; rank {rank} on {hosts[rank]} {what}{others}", rank
