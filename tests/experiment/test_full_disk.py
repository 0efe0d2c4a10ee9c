"""A disk that fills up while a run trains: the reason is on record, or is said by whoever looks at the run."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.experiment.status import StatusMonitor
from kbench.launch import failure
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind, State

LONG = """\
name: long
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 12, global_batch: 120, lr: 0.05}
strategies: [{random: {fraction: 0.9}, label: baseline}]
seeds: [0]
"""
Kbench = Callable[..., "subprocess.CompletedProcess[str]"]
FULL = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 kB, less than the records of twelve epochs."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("needs root and mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write a file until nothing more fits."""
    with suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
        while True:
            file.write(b"0" * 512)
    assert files.lacks_room(folder) == FULL


@pytest.mark.trains
def test_a_run_that_fills_the_disk_says_so_on_record_or_in_its_status(
    kbench: Kbench, disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.yaml").write_text(LONG)
    done = kbench("run", "long.yaml", "--launcher", "local", "--results", str(disk), "--set", "threads_per_rank=1")
    (run,) = ExperimentDir(disk / "long").all_runs()
    ended = run.read().failure
    assert ended is not None and (ended.kind, ended.kind.state) == (FailureKind.DISK_FULL, State.FAILED)
    assert ended.error == f"{run.journal}: cannot be written: {FULL}"
    assert ended.hint.startswith("make room there") and ended.hint.endswith("kbench run --retry")
    assert done.returncode == 5 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-2:] == [
        f"error: 1 of 1 runs failed; {run.run_id}: {ended.error}", f"hint: {ended.hint}"
    ]  # fmt: skip
    assert not run.reserve.exists() and not run.read().trouble

    (run.path / Failure.NAME).unlink()  # as where something else took the room that was kept for it
    fill(disk)
    status = StatusMonitor(ExperimentDir(disk / "long")).status_of(run.read())
    assert status.state is State.INTERRUPTED
    assert status.reason == f"ended, and could not write why: {disk / 'long'}: {FULL}"

    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    status = StatusMonitor(ExperimentDir(disk / "long")).status_of(run.read())
    assert (status.state, status.reason) == (State.INTERRUPTED, "")


def test_a_job_whose_ranks_could_not_say_it_says_that_the_disk_is_full(disk: Path, run_spec: RunSpec) -> None:
    run = RunDir(disk / run_spec.run_id)
    run.prepare(run_spec)
    run.reserve_room()
    fill(disk)
    failure.write(run, 1)
    record = run.read().failure
    assert record is not None and record.kind is FailureKind.DISK_FULL
    assert record.error == f"a rank ended with status 1 and said nothing; {run.path}: {FULL}"


def test_what_cannot_be_written_at_all_is_printed(
    disk: Path, run_spec: RunSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(disk / run_spec.run_id)
    run.prepare(run_spec)
    fill(disk)
    failure.write(run, 1)
    assert run.read().failure is None
    assert capsys.readouterr().err.count(FULL) >= 1
