"""A control group may leave less than the machine has, in both versions, and so may those around it."""

from pathlib import Path

import pytest

from kbench.doctor.machine import cpu_limit, memory_limit


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def group(root: Path, path: str, **files: str) -> None:
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_in_version_2_the_tightest_of_the_groups_around_a_process_counts(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/slurm/job_7/step\n")
    group(tmp_path, "slurm/job_7/step", cpu__max="max 100000", memory__max="max")
    group(tmp_path, "slurm/job_7", cpu__max="150000 100000", memory__max=str(8 << 30))
    group(tmp_path, "slurm", cpu__max="800000 100000", memory__max=str(64 << 30))
    assert cpu_limit(own=own, root=tmp_path) == 1.5
    assert memory_limit(own=own, root=tmp_path) == 8 << 30


def test_in_version_1_controllers_have_folders_of_their_own(tmp_path: Path, own: Path) -> None:
    own.write_text("4:memory:/job\n2:cpu,cpuacct:/job\n")
    group(tmp_path, "cpu,cpuacct/job", **{"cpu__cfs_quota_us": "400000", "cpu__cfs_period_us": "100000"})
    group(tmp_path, "memory/job", memory__limit_in_bytes=str(2 << 30))
    group(tmp_path, "memory", memory__limit_in_bytes="9223372036854771712")
    assert cpu_limit(own=own, root=tmp_path) == 4
    assert memory_limit(own=own, root=tmp_path) == 2 << 30


@pytest.mark.parametrize("lines", ["", "0::/\n", "1:cpu:/\n4:memory:/gone\n"])
def test_without_a_limit_there_is_none(tmp_path: Path, own: Path, lines: str) -> None:
    own.write_text(lines)
    group(tmp_path, "cpu", **{"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"})
    assert (cpu_limit(own=own, root=tmp_path), memory_limit(own=own, root=tmp_path)) == (None, None)


def test_a_system_without_control_groups_has_no_limit(tmp_path: Path, own: Path) -> None:
    assert (cpu_limit(own=own, root=tmp_path), memory_limit(own=own, root=tmp_path)) == (None, None)
