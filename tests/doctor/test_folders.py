"""Folders are tried out, and leave no trace."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kbench.doctor.folders import FolderFacts, file_system, folders, results, try_folder
from kbench.doctor.need import Need
from kbench.launch.diagnosis import FindingState

Needs = Callable[..., Need]
GOOD: dict[str, Any] = {
    "folder": "/data/results",
    "exists": True,
    "type": "nfs4",
    "free_bytes": 5 << 40,
    "free_inodes": 10**8,
    "write_s": 0.01,
    "errors": {},
}
MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/data /data nfs4 rw 0 0
/dev/sdb1 /data/my\\040disk xfs rw 0 0
tmpfs /database tmpfs rw 0 0
"""


def test_what_kbench_does_with_files_works_here_and_nothing_is_left_behind(tmp_path: Path) -> None:
    found = try_folder(tmp_path)
    assert (found.folder, found.exists, found.errors) == (str(tmp_path), True, {})
    assert 0 < found.free_bytes <= shutil.disk_usage(tmp_path).total
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_that_would_hold_it(tmp_path: Path) -> None:
    found = try_folder(tmp_path / "not" / "yet")
    assert (found.folder, found.exists) == (str(tmp_path), False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_says_why() -> None:
    assert try_folder(Path("/proc/self")).errors.keys() == {"write"}


@pytest.mark.parametrize(
    ("folder", "type_"),
    [("/home/me", "ext4"), ("/data/results", "nfs4"), ("/data/my disk/x", "xfs"), ("/databases", "ext4")],
)
def test_a_folder_lies_on_the_nearest_mount(tmp_path: Path, folder: str, type_: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert file_system(Path(folder), mounts=mounts) == type_


@pytest.mark.parametrize(
    ("differs", "state", "words"),
    [
        ({}, FindingState.OK, "/data/results, nfs4 (shared), 5120.0 GiB, 100,000,000 files free"),
        ({"errors": {"write": "Read-only file system"}}, FindingState.MISSING, "write: Read-only file system"),
        ({"errors": {"link": "Operation not permitted"}}, FindingState.MISSING, "link: Operation not permitted"),
        (
            {"errors": {"rename": "a renamed file still shows its old text"}},
            FindingState.MISSING,
            "still shows its old text",
        ),
        ({"errors": {"flock": "No locks available"}}, FindingState.WARNING, "flock: No locks available"),
        ({"errors": {"group": "may write here"}}, FindingState.WARNING, "group: may write here"),
        ({"type": "xfs"}, FindingState.WARNING, "looks like this node's own"),
        ({"free_bytes": 1000}, FindingState.WARNING, "0.0 GiB"),
        ({"free_inodes": 9}, FindingState.WARNING, "9 files free"),
        ({"free_inodes": 0}, FindingState.WARNING, "0 files free; that is little"),
        ({"type": ""}, FindingState.WARNING, "of unknown type"),
        ({"type": "xfs", "free_bytes": 0}, FindingState.WARNING, "looks like this node's own; that is little"),
        ({"free_inodes": None}, FindingState.OK, "5120.0 GiB free"),
        ({"write_s": 2.5}, FindingState.WARNING, "a synced write took 2.5 s"),
        ({"exists": False}, FindingState.OK, "not yet there, below /data/results"),
    ],
)
def test_the_results_folder_of_a_cluster_must_be_shared_writable_and_roomy(
    needs: Needs, differs: dict[str, Any], state: FindingState, words: str
) -> None:
    item = results(FolderFacts(**GOOD | differs), needs(launcher="slurm"))
    assert (item.state, item.is_fatal) == (state, state is FindingState.MISSING)
    assert words in item.found


@pytest.mark.parametrize(
    ("mode", "mask", "is_hidden"), [(0o770, 0o077, True), (0o770, 0o027, False), (0o750, 0o077, False)]
)
def test_a_umask_that_hides_results_from_the_group_whose_folder_it_is_is_found(
    tmp_path: Path, mode: int, mask: int, is_hidden: bool
) -> None:
    tmp_path.chmod(mode)
    before = os.umask(mask)
    try:
        assert ("group" in try_folder(tmp_path).errors) is is_hidden
    finally:
        os.umask(before)


def test_results_in_memory_are_a_warning_even_on_one_machine(needs: Needs) -> None:
    assert results(FolderFacts(**GOOD | {"type": "tmpfs"}), needs()).state is FindingState.WARNING
    assert results(FolderFacts(**GOOD | {"type": "ext4"}), needs()).state is FindingState.OK


def test_scratch_that_a_job_will_name_is_not_looked_for(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SGE_LOCALDIR", raising=False)
    _, item = folders(needs(scratch="$SGE_LOCALDIR/data"))
    assert (item.state, item.found) == (FindingState.OK, "$SGE_LOCALDIR/data: known inside of a job only")


def test_scratch_that_is_not_there_is_missing_where_the_ranks_run(needs: Needs) -> None:
    _, item = folders(needs(scratch="/nowhere/scratch"))
    assert (item.is_fatal, item.found) == (True, "/nowhere/scratch is not there")
    _, item = folders(needs(launcher="slurm", scratch="/nowhere/scratch"))
    assert item.state is FindingState.WARNING


def test_a_results_folder_below_a_file_is_told_in_a_sentence(needs: Needs, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    [item] = folders(needs())
    assert item.found.startswith(f"not yet there, below {tmp_path}")
