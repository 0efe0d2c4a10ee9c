"""Cores and memory are the system's own numbers; limits of control groups, in both versions, are told."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.doctor import machine
from kbench.doctor.machine import cpu_limit, memory_limit
from kbench.doctor.need import Need
from kbench.launch.diagnosis import FindingState

Needs = Callable[..., Need]


def test_cores_are_those_that_this_process_may_use(needs: Needs) -> None:
    items = {item.name: item for item in machine.machine(needs())}
    ours = len(os.sched_getaffinity(0))
    assert items["cores"].found.startswith(f"{ours} of {os.cpu_count()} cores")
    assert "GiB available" in items["memory"].found


def test_threads_that_a_control_group_would_stop_are_a_warning(needs: Needs) -> None:
    item = machine.judge_cores(needs(), quota=0.5)
    assert item.state is FindingState.WARNING
    assert item.remedy.startswith("threads_per_rank: 1 in the site file")


def test_more_ranks_than_cores_are_a_warning_where_they_run_here(needs: Needs) -> None:
    many = len(os.sched_getaffinity(0)) + 1
    assert machine.judge_cores(needs(ranks_per_node=many), quota=None).state is FindingState.WARNING
    assert machine.judge_cores(needs(launcher="slurm", ranks_per_node=many), quota=None).state is FindingState.OK


def test_other_work_on_the_machine_is_a_warning(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    load = next(item for item in machine.machine(needs()) if item.name == "load")
    assert load.state is FindingState.WARNING
    assert "load" not in {item.name for item in machine.machine(needs(launcher="slurm"))}


def test_few_open_files_are_a_warning(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (256, 256))
    items = {item.name: item for item in machine.machine(needs())}
    assert items["open files"].found == "at most 256"


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
