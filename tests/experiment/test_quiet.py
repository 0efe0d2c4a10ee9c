"""A busy machine is noticed before runs start on it, and can be waited for."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from kbench.experiment.quiet import MachineLoad, User, look, warn_if_busy

QUIET = MachineLoad(n_cores=4, in_use=0.3, load=0.2, users=())
LOADED = MachineLoad(n_cores=4, in_use=1.96, load=2.1, users=(User("python", 42, 0.97), User("cc1", 43, 0.96)))


@pytest.fixture
def busy_loop() -> Iterator[int]:
    """The id of a process that keeps a processor busy."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.communicate()


def test_a_look_finds_the_process_that_keeps_a_processor_busy(busy_loop: int) -> None:
    seen = look(0.2)
    assert busy_loop in [user.pid for user in seen.users] and seen.in_use > 0
    assert all(user.cores < seen.n_cores + 1 for user in seen.users), "what a process used before is not counted"
    assert [user.cores for user in seen.users] == sorted((user.cores for user in seen.users), reverse=True)


def test_a_busy_machine_is_said_with_its_busiest_processes_and_a_quiet_one_is_not() -> None:
    said: list[str] = []
    assert warn_if_busy(said.append, look=lambda: QUIET) is QUIET and not said
    warn_if_busy(said.append, look=lambda: LOADED)
    assert said == [
        "warning: this machine is busy, and times taken now are disturbed: 2.0 of 4 processors in use, load 2.1: "
        "python (42) 97 %, cc1 (43) 96 %; --wait-for-quiet 30 waits up to 30 minutes for quiet"
    ]


@pytest.mark.parametrize("looks_until_quiet, last", [(3, "quiet after 0.2 min"), (99, "it stayed so")])
def test_waiting_ends_with_quiet_or_with_the_minutes(looks_until_quiet: int, last: str) -> None:
    said: list[str] = []
    slept: list[float] = []
    looks = iter([LOADED] * looks_until_quiet + [QUIET])
    warn_if_busy(said.append, wait_min=1.0, look=lambda: next(looks), sleep=slept.append)
    assert said[0].startswith("waiting up to 1 min for a quiet machine: 2.0 of 4") and last in said[1]
    assert sum(slept) == (15.0 if looks_until_quiet == 3 else 60.0) and len(said) == 2
