"""Where ranks meet: a GPU for each, and an address that others can reach."""

import socket
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from kbench.engine.runtime.ranks import rank_env
from kbench.engine.runtime.rendezvous import addresses, device_of, is_loopback
from kbench.errors import WorkloadError

SECOND = rank_env({"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "7"})


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    return monkeypatch


def test_a_task_that_is_shown_one_gpu_takes_it_whatever_its_number(gpus: pytest.MonkeyPatch) -> None:
    gpus.setattr(torch.cuda, "device_count", lambda: 1)
    assert device_of(SECOND) == torch.device("cuda", 0)
    gpus.setattr(torch.cuda, "device_count", lambda: 4)
    assert device_of(SECOND) == torch.device("cuda", 1)


def test_more_ranks_than_gpus_are_refused_with_what_may_hide_some(gpus: pytest.MonkeyPatch) -> None:
    gpus.setattr(torch.cuda, "device_count", lambda: 2)
    third = rank_env({"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_LOCALID": "2", "SLURM_JOB_ID": "7"})
    with pytest.raises(WorkloadError) as caught:
        device_of(third)
    assert "--gpu-bind" in caught.value.hint


def interface(address: str, family: int = socket.AF_INET) -> Any:
    return SimpleNamespace(family=family, address=address)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names and what they mean, on a host called nodea with three interfaces."""
    known = {"localhost": "127.0.0.1"}
    monkeypatch.setattr(socket, "gethostname", lambda: "nodea")
    monkeypatch.setattr(socket, "getfqdn", lambda: "localhost")

    def look_up(name: str, port: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if name not in known:
            raise socket.gaierror(f"{name} is unknown")
        return [(0, 0, 0, "", (known[name], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    every = {
        "lo": [interface("127.0.0.1"), interface("::1", socket.AF_INET6)],
        "eth0": [interface("fe80::1%eth0", socket.AF_INET6), interface("fd00::7", socket.AF_INET6)],
        "ib0": [interface("10.0.0.7")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: every)
    return known


def test_a_name_on_the_loopback_line_is_no_place_to_meet(hosts: dict[str, str]) -> None:
    hosts["nodea"] = "127.0.0.1"
    assert is_loopback("nodea") and is_loopback("nowhere")
    assert addresses() == ["10.0.0.7", "fd00::7"]


def test_a_name_that_others_can_reach_comes_first(hosts: dict[str, str]) -> None:
    hosts["nodea"] = "10.0.0.7"
    assert addresses() == ["nodea", "10.0.0.7", "fd00::7"]


def test_the_interface_of_the_site_is_the_only_place_and_may_have_ipv6_alone(hosts: dict[str, str]) -> None:
    assert (addresses("ib0"), addresses("eth0")) == (["10.0.0.7"], ["fd00::7"])
