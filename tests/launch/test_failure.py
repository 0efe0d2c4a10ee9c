"""The last words of a run whose ranks could not say any."""

import subprocess
import sys
from pathlib import Path

import pytest

from kbench.config.run_spec import RunSpec
from kbench.launch import failure
from kbench.launch.failure import cause
from kbench.records.folders import RunDir
from kbench.records.run_files import Done, Failure, Job
from kbench.records.run_state import FailureKind


@pytest.fixture
def run(tmp_path: Path, run_spec: RunSpec) -> RunDir:
    """The folder of a run that is in its second attempt."""
    folder = RunDir(tmp_path / run_spec.run_id)
    folder.prepare(run_spec)
    folder.begin(Job.of(attempt=2))
    return folder


def write_epitaph(run: RunDir, status: int) -> None:
    command = [sys.executable, "-m", "kbench.launch.failure", str(status), str(run.path)]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (1, "a rank ended with status 1 and said nothing"),
        (127, "a rank ended with status 127 and said nothing"),
        (137, "a rank was killed by SIGKILL, as the system does when memory runs out"),
        (139, "a rank was killed by SIGSEGV"),
        (143, "a rank was killed by SIGTERM"),
        (255, "a rank ended with status 255"),
    ],
)
def test_the_exit_status_tells_the_cause(status: int, sentence: str) -> None:
    assert cause(status) == sentence


def test_it_says_why_the_run_failed_and_how_its_stderr_ends(run: RunDir) -> None:
    run.stderr.write_text("a warning\nlibmpi.so.40: cannot open shared object file\n\n")
    write_epitaph(run, 127)
    told = {key: getattr(run.read().failure, key) for key in ("error", "hint", "kind", "exit_code", "attempt")}
    assert told == {
        "error": "a rank ended with status 127 and said nothing",
        "hint": f"{run.stderr} ends: libmpi.so.40: cannot open shared object file",
        "kind": "Died",
        "exit_code": 5,
        "attempt": 2,
    }


def test_a_silent_death_is_said_to_be_silent(run: RunDir) -> None:
    write_epitaph(run, 137)
    assert run.read().failure.hint == f"{run.stderr} is empty"


def test_it_does_not_speak_over_a_rank_that_spoke(run: RunDir) -> None:
    first = Failure.of("out of memory", kind=FailureKind.RAISED, attempt=2)
    run.fail(first)
    write_epitaph(run, 1)
    assert run.read().failure == first


def test_it_does_not_bury_a_run_that_is_done(run: RunDir) -> None:
    run.finish(Done.of(attempt=2, phases=()))
    write_epitaph(run, 134)
    assert run.read().failure is None


def test_what_no_terminal_can_show_is_left_out_of_the_hint(tmp_path: Path) -> None:
    folder = RunDir(tmp_path)
    folder.stderr.write_text("mpirun noticed\x00 that\x1b[0m\n\x00\n")
    failure.write(folder, 1)
    assert folder.read().failure.hint == f"{folder.stderr} ends: mpirun noticed that[0m"


@pytest.mark.parametrize(
    ("said", "status", "kind"),
    [
        ("srun: error: Node failure on n3\n", 0, "NodeFailure"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5.0.\n", 143, "OutOfMemory"),
        ("srun: error: n1: task 0: Killed\nsrun: error: n2: task 1: Terminated\n", 143, "Died"),
        ("srun: error: n1: task 0: Exited with exit code 1\nsrun: error: n2: task 1: Terminated\n", 143, "Died"),
        ("srun: error: n1: tasks 0-1: Terminated\n", 143, "Preempted"),
        (
            "srun: error: Unable to confirm allocation for job 297: Job is pending execution\n"
            "srun: Check SLURM_JOB_ID environment variable. Expired or invalid job 297\n",
            *(1, "Preempted"),
        ),
        (
            "srun: error: Unable to create step for job 8: Job/step already completing or completed\n",
            *(1, "Preempted"),
        ),
        (
            "srun: error: Task launch for StepId=8.0 failed on node n3: Communication connection failure\n"
            "srun: error: Application launch failed: Communication connection failure\n",
            *(1, "NodeFailure"),
        ),
    ],
)
def test_what_srun_says_tells_how_ranks_ended(tmp_path: Path, said: str, status: int, kind: str) -> None:
    folder = RunDir(tmp_path)
    folder.stderr.write_text("srun: error: Node failure on n9\n")  # of an earlier attempt
    since = folder.stderr.stat().st_size
    with folder.stderr.open("a") as file:
        file.write(said)
    failure.write(folder, status, since=since)
    assert folder.read().failure.kind == kind
