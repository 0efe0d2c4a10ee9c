"""When Slurm says no, or nothing: one clear sentence, and the next kbench run goes on where this one ended."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster
from users import User

pytestmark = pytest.mark.slurm

SITE = """\
launcher: slurm
nodes: 2
threads_per_rank: 1
options: [--hold]
"""


def refusal(user: User, *words: str) -> str:
    """What kbench run says, in one line and a hint, when it cannot submit."""
    done = user.calls("run", "small.yaml", "--site", "site.yaml", "--quiet", *words)
    assert done.returncode not in (0, 1) and done.stdout == ""
    first, *hint = done.stderr.splitlines()
    assert first.startswith("error: ") and len(hint) <= 1 and all(line.startswith("hint: ") for line in hint)
    return done.stderr


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("partition: nowhere", "invalid partition specified: nowhere"),
        ("options: [--hold, --constraint=v100]", "Invalid feature specification"),
        ("options: [--hold, --frobnicate]", "unrecognized option '--frobnicate'"),
        ("gpus_per_node: 4", "sbatch --test-only fails with status 1: Invalid generic resource (gres) specification"),
        ("nodes: 8", "Requested node configuration is not available"),
    ],
)
def test_what_slurm_would_refuse_is_said_before_anything_is_submitted(
    on_slurm: User, slurm: SlurmCluster, line: str, sentence: str
) -> None:
    user = on_slurm
    kept = [text for text in SITE.splitlines() if text.split(":")[0] != line.split(":")[0]]
    user.writes("\n".join([*kept, line, ""]), "baseline")
    assert sentence in refusal(user)
    assert not slurm.waiting_or_running()


def test_a_time_limit_beyond_the_partitions_is_refused_as_slurm_would_let_it_wait_for_ever(
    on_slurm: User, slurm: SlurmCluster
) -> None:
    user = on_slurm
    user.writes(SITE + "partition: short\ntime_limit: '02:00:00'\n", "baseline")
    assert "time_limit: 02:00:00 is more than the 60 s that the partition allows" in refusal(user)
    assert not slurm.waiting_or_running()


def test_a_controller_that_is_down_loses_nothing(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(SITE, "baseline", seeds=(0, 1))
    user.runs("--only", "0")
    slurm.kill_controller()
    assert "nothing is lost" in refusal(user)
    done = user.calls("status", "small", "--json")
    assert done.returncode == 0 and "contact slurm controller" in done.stderr
    slurm.start_controller()
    slurm.await_nodes()
    user.runs()
    assert len(slurm.waiting_or_running()) == 2
    assert {row["state"] for row in user.sees().values()} == {"waiting"}


def test_a_controller_that_hangs_holds_nobody_for_long(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(SITE, "baseline")
    user.runs()
    slurm.freeze_controller()
    done = user.calls("status", "small")
    assert done.returncode == 0 and "waiting" in done.stdout and "imed out" in done.stderr
    slurm.resume_controller()
    assert user.sees()["baseline.s0"]["state"] == "waiting"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 256 kB that a file fills."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until the disk is full."""
    with (folder / "full").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"0" * 512)
            except OSError:
                return folder / "full"


def test_a_full_disk_is_said_and_the_ledger_stays_whole(on_slurm: User, slurm: SlurmCluster, full_disk: Path) -> None:
    user = on_slurm
    user.writes(SITE, "baseline", seeds=(0, 1))
    words = ("--results", str(full_disk))
    user.runs("--only", "0", *words)
    file = fill(full_disk)
    assert "No space left on device" in refusal(user, *words)
    file.unlink()
    user.runs(*words)
    assert len(slurm.waiting_or_running()) == 2
