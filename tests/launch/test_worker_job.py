"""What a job does with its runs, whatever its scheduler: real processes in place of ranks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kbench.config.run_spec import RunSpec
from kbench.launch import failure
from kbench.launch.schedulers.base import JobEnvironment
from kbench.launch.worker_job import begin, is_latest
from kbench.records.folders import RunDir, attempts_variable, begun_attempts
from kbench.records.run_files import Done, Job
from kbench.records.run_state import FailureKind, State

Start = Callable[..., "subprocess.Popen[str]"]
# In place of the ranks: writes down that it came, then does as its first argument says.
RANKS = """\
import json, os, signal, sys, time
from pathlib import Path
how, run = sys.argv[1], Path(sys.argv[2])
start = json.loads((run / "start.json").read_text())
(run / "came").write_text(str(start["attempt"]))
if how == "done":
    (run / "done.json").write_text(json.dumps({"attempt": start["attempt"], "ended_at": start["started_at"]}))
elif how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif how == "node":
    print("srun: error: Node failure on n7", file=sys.stderr)
elif how == "epoch":  # ends by itself when it is told to
    while not (run / "stop").exists():
        time.sleep(0.02)
elif how == "deaf":
    time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path, run_spec: RunSpec) -> RunDir:
    folder = RunDir(tmp_path / run_spec.run_id)
    folder.prepare(run_spec)
    folder.begin(Job.of(attempt=1, token="kb00000000").updated(launcher="slurm"))
    return folder


@pytest.fixture
def start(tmp_path: Path, run: RunDir, clean_env: dict[str, str]) -> Start:
    """``start("deaf", "--grace", "1")``: a job on the run; no scheduler is around it."""
    (tmp_path / "ranks.py").write_text(RANKS)

    def job(how: str, *words: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        command = [
            sys.executable,
            "-m",
            "kbench.launch.worker_job",
            "--folder",
            str(tmp_path),
            *words,
            run.run_id,
            "--",
        ]
        ranks = [sys.executable, str(tmp_path / "ranks.py"), how]
        return subprocess.Popen([*command, *ranks], env=clean_env | dict(env or {}), stderr=subprocess.PIPE, text=True)

    return job


def ended(job: "subprocess.Popen[str]") -> int:
    try:
        job.communicate(timeout=60)
    finally:
        job.kill()
    return job.returncode


def come(run: RunDir) -> None:
    """Wait until the ranks are there."""
    deadline = time.monotonic() + 60
    while not (run.path / "came").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_that_ends_well_is_done_and_is_not_trained_again(run: RunDir, start: Start) -> None:
    assert ended(start("done")) == 0
    assert run.read().done and run.read().start.attempt == 1
    (run.path / "came").unlink()
    assert ended(start("done")) == 0
    assert not (run.path / "came").exists() and run.read().start.attempt == 1


def test_each_start_of_a_job_is_another_attempt_and_the_earlier_ones_are_on_record(run: RunDir, start: Start) -> None:
    assert ended(start("node")) == 1
    assert (run.read().failure.kind, run.read().failure.node, run.read().failure.kind.state) == (
        "NodeFailure",
        "n7",
        State.INTERRUPTED,
    )
    assert ended(start("done")) == 0
    assert (run.read_attempt(), [one.attempt for one in run.read().start.earlier]) == (2, [1])
    assert run.read().done.attempt == 2 and not run.read().failure


def test_ranks_that_are_killed_fail_the_run_and_it_is_not_begun_again_unasked(run: RunDir, start: Start) -> None:
    assert ended(start("killed")) == 1
    assert run.read().failure.kind.state is State.FAILED and "SIGKILL" in run.read().failure.error
    (run.path / "came").unlink()
    assert ended(start("done")) == 1
    assert not (run.path / "came").exists()


def test_a_warning_lets_the_epoch_end(run: RunDir, start: Start) -> None:
    job = start("epoch", "--grace", "60")
    come(run)
    job.send_signal(signal.SIGUSR1)
    assert ended(job) == 1
    assert (run.read().failure.kind, run.read().failure.kind.state) == ("TimeLimit", State.INTERRUPTED)


@pytest.mark.parametrize("words", [("--limit", "0.5", "--grace", "0.5"), ("--limit", "0.5")])
def test_an_epoch_that_takes_too_long_is_given_up(run: RunDir, start: Start, words: tuple[str, ...]) -> None:
    assert ended(start("deaf", *words)) == 1
    assert run.read().failure.kind == "TimeLimit"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_job_that_is_ended_ends_its_ranks_and_says_so(run: RunDir, start: Start, number: signal.Signals) -> None:
    job = start("deaf")
    come(run)
    job.send_signal(number)
    assert ended(job) == 1
    assert (run.read().failure.kind, run.read().failure.kind.state) == ("Ended", State.CANCELLED)


def test_ranks_do_not_outlive_a_job_that_is_killed(run: RunDir, start: Start) -> None:
    job = start("deaf")
    come(run)
    (ranks,) = [int(word) for word in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()]
    job.kill()
    job.communicate()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{ranks}").exists() and "Z" not in Path(f"/proc/{ranks}/stat").read_text().split(")")[1][:3]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_command_that_is_not_there_is_a_sentence(run: RunDir, tmp_path: Path, clean_env: dict[str, str]) -> None:
    words = ["-m", "kbench.launch.worker_job", "--folder", str(tmp_path), run.run_id, "--", "no-such-srun"]
    done = subprocess.run([sys.executable, *words], env=clean_env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert run.read().failure.error == "no-such-srun cannot be started: No such file or directory"


def test_a_follower_whose_leader_is_not_done_does_not_begin(
    tmp_path: Path, run_spec: RunSpec, clean_env: dict[str, str]
) -> None:
    choice = run_spec.strategy.model_copy(update={"label": "like", "name": "random", "params": {"like": "baseline"}})
    spec = run_spec.model_copy(update={"strategy": choice, "follows": run_spec.strategy})
    follower = RunDir(tmp_path / spec.run_id)
    follower.prepare(spec)
    follower.begin(Job.of(attempt=1, token="kb00000000").updated(launcher="slurm"))
    words = [
        "-m",
        "kbench.launch.worker_job",
        "--folder",
        str(tmp_path),
        spec.run_id,
        "--",
        sys.executable,
        "-c",
        "1/0",
    ]
    done = subprocess.run([sys.executable, *words], env=clean_env, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert (follower.read().failure.kind, follower.read().failure.kind.state) == (
        "PrerequisiteMissing",
        State.INTERRUPTED,
    )


def test_jobs_that_begin_a_run_at_the_same_moment_are_different_attempts(run: RunDir) -> None:
    with ThreadPoolExecutor() as pool:
        attempts = list(pool.map(lambda n: begin(run, JobEnvironment(id=str(n))), range(8)))
    assert sorted(attempts) == [1, 2, 3, 4, 5, 6, 7, 8]  # type: ignore[type-var]
    assert run.read_attempt() == 8


def test_ranks_are_handed_the_attempt_that_their_job_began_whatever_the_folder_says_by_then(run: RunDir) -> None:
    environ = attempts_variable([begin(run, JobEnvironment(id="24_0")) or 0])
    begin(run, JobEnvironment(id="26_0"))
    assert begun_attempts([run], environ) == {run: 1} and run.read_attempt() == 2
    assert begun_attempts([run], {}) == {run: 2}


def test_an_attempt_that_another_has_taken_over_from_is_heard_no_more(run: RunDir) -> None:
    first, second = begin(run, JobEnvironment(id="24_0")), begin(run, JobEnvironment(id="26_0"))
    failure.write(run, 1, attempt=first)
    assert run.read().failure is None
    failure.write(run, 1, attempt=second)
    assert run.read().failure is not None


def test_a_job_of_an_earlier_submission_leaves_the_run_to_the_latest(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kbench.launch.worker_job.STALE_S", 0.0)
    assert is_latest(run, "kb00000000") and not is_latest(run, "kb11111111")


def test_a_line_of_setup_that_failed_is_why_the_run_did(run: RunDir, start: Start) -> None:
    why = "setup line 1 (module load cuda/99.9) ends with status 1"
    assert ended(start("done", "--token", "kb00000000", "--setup-failed", why)) == 1
    end = run.read().failure
    assert end is not None and (end.error, end.kind) == (why, FailureKind.CANNOT_START)
    assert not (run.path / "came").exists()


def test_a_done_run_that_this_node_does_not_see_yet_is_not_begun_again(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a network, a client believes for a while that a file is missing, until it lists the folder again."""
    unseen = run.path / ".nfs-unseen"
    run.finish(Done.of(attempt=1, phases=()))
    (run.path / Done.NAME).rename(unseen)
    real = os.listdir

    def listed(path: str | Path) -> list[str]:
        if unseen.exists() and Path(path) == run.path:
            unseen.rename(run.path / Done.NAME)
        return real(path)

    monkeypatch.setattr(os, "listdir", listed)
    assert begin(run, JobEnvironment(scheduler="slurm", id="8", nodes=("n2",))) is None
    assert run.is_done() and run.read().start is None


def test_a_job_of_several_kinds_of_nodes_fails_with_a_sentence_and_trains_nothing(run: RunDir, start: Start) -> None:
    allocation = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1", "SLURM_HET_SIZE": "2"}
    assert ended(start("done", env=allocation)) == 1
    failed = run.read().failure
    assert failed.error == "its job is heterogeneous: 2 components, each with nodes of its own kind"
    assert failed.kind is FailureKind.CANNOT_START and not (run.path / "came").exists()
