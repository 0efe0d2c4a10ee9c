"""Cores and memory are the system's own numbers, and limits on them are told."""

import os
from collections.abc import Callable

import pytest

from kbench.doctor import machine
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
