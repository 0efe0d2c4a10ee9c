"""Where a run stands: what it wrote comes first, processes only explain its absence."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kbench.config.run_spec import RunSpec
from kbench.records.folders import RunDir
from kbench.records.liveness import is_alive, process_of, state_of
from kbench.records.run_files import Done, Failure, Job
from kbench.records.run_state import FailureKind, State

Start = Callable[[str], "subprocess.Popen[bytes]"]
HERE = socket.gethostname()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that waits, with a word in its command line."""
    started: list[subprocess.Popen[bytes]] = []

    def make(mark: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", mark]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()  # it is up
        started.append(process)
        return process

    yield make
    for process in started:
        process.communicate()


@pytest.fixture
def run(tmp_path: Path, run_spec: RunSpec) -> RunDir:
    """The folder of a run that was never started."""
    folder = RunDir(tmp_path / run_spec.run_id)
    folder.prepare(run_spec)
    return folder


def job(pid: int | None) -> Job:
    return Job(launcher="local", id=pid, host=HERE, attempt=1)


def failure() -> Failure:
    return Failure.of("no more", kind=FailureKind.RAISED, attempt=1)


def ended(process: "subprocess.Popen[bytes]") -> int:
    """The id of a process that has ended and been forgotten."""
    process.communicate()
    return process.pid


def test_a_run_that_was_never_started_is_missing(run: RunDir) -> None:
    assert state_of(run.read()) is State.MISSING


def test_a_run_whose_process_lives_is_running(run: RunDir, start: Start) -> None:
    run.begin(job(start(run.run_id).pid))
    assert state_of(run.read()) is State.RUNNING


def test_a_run_whose_process_is_gone_without_a_word_is_interrupted(run: RunDir, start: Start) -> None:
    run.begin(job(ended(start(run.run_id))))
    assert state_of(run.read()) is State.INTERRUPTED


def test_what_a_run_says_of_its_end_comes_before_its_process(run: RunDir, start: Start) -> None:
    run.begin(job(start(run.run_id).pid))
    run.finish(Done.of(attempt=1, phases=()))
    assert state_of(run.read()) is State.DONE


def test_a_run_that_said_why_it_failed_is_failed_though_its_process_lives(run: RunDir, start: Start) -> None:
    run.begin(job(start(run.run_id).pid))
    run.fail(failure())
    assert state_of(run.read()) is State.FAILED


def test_half_a_word_of_its_end_is_no_word(run: RunDir, start: Start) -> None:
    run.begin(job(start(run.run_id).pid))
    (run.path / "done.json").write_text(json.dumps({"attempt": 1})[:-3])
    assert state_of(run.read()) is State.RUNNING


def test_a_new_attempt_forgets_how_the_last_one_ended(run: RunDir, start: Start) -> None:
    run.fail(failure())
    run.begin(job(start(run.run_id).pid))
    assert state_of(run.read()) is State.RUNNING


def test_a_run_whose_process_id_is_not_noted_yet_does_not_count_as_running(run: RunDir) -> None:
    run.begin(job(None))
    assert state_of(run.read()) is State.INTERRUPTED


def test_a_recycled_process_id_deceives_nobody(run: RunDir, start: Start) -> None:
    run.begin(job(start("another-run.s0.0123abcd").pid))
    assert state_of(run.read()) is State.INTERRUPTED


def test_a_process_that_ended_and_was_not_waited_for_is_not_alive(run: RunDir, start: Start) -> None:
    process = start(run.run_id)
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # leaves it as it is: a zombie
    run.begin(job(process.pid))
    assert state_of(run.read()) is State.INTERRUPTED


def test_a_process_of_another_host_is_believed_to_live() -> None:
    assert is_alive("elsewhere", 1, mark="no such mark")


@pytest.mark.parametrize("process", [None, "none"], ids=["no id", "no number"])
def test_a_job_without_a_process_id_is_not_alive(process: str | None) -> None:
    assert not is_alive(HERE, process, mark="kbench")


@pytest.mark.parametrize(
    ("state", "is_live", "is_over", "starts", "starts_with_retry"),
    [
        (State.MISSING, False, False, True, True),
        (State.WAITING, True, False, False, False),
        (State.RUNNING, True, False, False, False),
        (State.DONE, False, True, False, False),
        (State.FAILED, False, True, False, True),
        (State.CANCELLED, False, True, False, True),
        (State.INTERRUPTED, False, False, True, True),
        (State.DAMAGED, False, True, False, True),
    ],
)
def test_a_state_says_whether_the_run_goes_on_and_what_starts_it_again(
    state: State, is_live: bool, is_over: bool, starts: bool, starts_with_retry: bool
) -> None:
    assert (state.is_live, state.is_over) == (is_live, is_over)
    assert (state.starts_again(retry=False), state.starts_again(retry=True)) == (starts, starts_with_retry)
    assert State(str(state)) is state and json.dumps(state) == f'"{state.value}"'


def test_a_process_whose_start_was_not_noted_is_found_by_its_script(make_run: Callable[..., RunDir]) -> None:
    run = make_run(epochs=0)
    run.begin(Job.of(attempt=1).updated(launcher="local"))
    run.script.write_text("sleep 100; true\n")
    assert state_of(run.read()) is State.INTERRUPTED
    process = subprocess.Popen(["bash", str(run.script.resolve())], start_new_session=True)
    try:
        assert process_of(run.read()) == process.pid
        assert state_of(run.read()) is State.RUNNING
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert state_of(run.read()) is State.INTERRUPTED
