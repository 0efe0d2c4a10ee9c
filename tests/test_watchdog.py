"""The watchdog: a rank in which nothing happens is named with its place, and the process ends."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from kbench.config.run_spec import RunSpec
from kbench.engine.runtime.comm import Comm
from kbench.records.folders import RunDir
from kbench.records.liveness import FIRST_S, LEAST_S
from kbench.records.run_files import Job
from kbench.records.run_state import FailureKind, State
from kbench.worker.watchdog import Position, Watchdog, position, verdict

SLEEPER = """\
import sys, time
from pathlib import Path
from kbench.engine.runtime.comm import Comm
from kbench.records.folders import RunDir
from kbench.worker.watchdog import Watchdog

def never_ends():
    time.sleep(600)

run = RunDir(Path(sys.argv[1]))
with Watchdog(lambda: run, lambda run: 1, Comm(), limit_s=0.5) as watchdog:
    watchdog.arm()
    watchdog.step()
    never_ends()
"""


def test_a_rank_that_sleeps_is_ended_and_named_with_its_place(tmp_path: Path, run_spec: RunSpec) -> None:
    run = RunDir(tmp_path / run_spec.run_id)
    run.prepare(run_spec)
    run.begin(Job.of(attempt=1))
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    done = subprocess.run([sys.executable, str(script), str(run.path)], capture_output=True, text=True, timeout=120)
    failure = run.read().failure
    assert failure is not None and (failure.kind, failure.kind.state) == (FailureKind.HANG, State.FAILED)
    assert "rank 0 on " in failure.error and "sleeper.py:8 in never_ends" in failure.error
    assert (done.returncode, "in never_ends" in done.stderr) == (5, True)
    assert run.last_step.exists()


def watchdog(limit_s: float | None) -> Watchdog:
    return Watchdog(lambda: RunDir(Path("nowhere")), lambda run: 1, Comm(), limit_s=limit_s)


def test_the_limit_is_ten_times_the_slowest_epoch_and_no_less_than_ten_minutes() -> None:
    free = watchdog(None)
    assert free.limit_s == FIRST_S
    free.end_epoch()
    assert free.limit_s == LEAST_S
    free._epoch_began -= 100
    free.end_epoch()
    assert 1000 <= free.limit_s < 1100


def test_the_sites_limit_counts_when_the_data_is_there() -> None:
    own = watchdog(30)
    assert own.limit_s == FIRST_S
    own.arm()
    assert own.limit_s == 30


def at(rank: int, **more: Any) -> Position:
    return Position(rank=rank, host=f"n{rank}", place=f"loader.py:{rank} in read", quiet_s=600.0, **more)


def test_the_rank_that_waits_for_no_other_is_the_one_that_hangs() -> None:
    text, rank = verdict([at(0, waits_for="summing up"), at(1), at(2, waits_for="summing up")], ["n0", "n1", "n2"])
    assert rank == 1
    assert text == ("hangs: nothing has happened for 600 s; rank 1 on n1 is in loader.py:1 in read; 2 other ranks wait")


def test_a_rank_that_says_nothing_is_the_one_that_hangs() -> None:
    text, rank = verdict([at(0)], ["n0", "n1"])
    assert rank == 1 and "rank 1 on n1 gives no sign of life" in text


def test_where_all_wait_the_first_is_named_with_what_for() -> None:
    text, rank = verdict([at(0, waits_for="summing up"), at(1, waits_for="summing up")], ["n0", "n1"])
    assert rank == 0 and "(summing up)" in text


def test_a_rank_in_a_collective_or_a_backward_pass_waits_for_others() -> None:
    two = cast(Comm, SimpleNamespace(rank=0, size=2, doing="summing up"))
    assert position(sys._getframe(), two, quiet_s=1.0).waits_for == "summing up"
    two.doing = ""

    def _engine_run_backward() -> Position:
        return position(sys._getframe(), two, quiet_s=1.0)

    assert _engine_run_backward().waits_for == "_engine_run_backward"
    assert position(sys._getframe(), two, quiet_s=1.0).waits_for == ""
