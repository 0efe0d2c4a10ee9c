"""Partitions are read as sinfo tells them, and held against what a site asks for."""

import pytest

from kbench.config.site import Site
from kbench.doctor.schedulers import Partition, read_partitions

SINFO = """\
debug|debug*|up|infinite|4|2|4000|(null)|NO|OFF
gpu|gpu|up|2-00:00:00|8|64|515000|gpu:a100:4(S:0-1)|EXCLUSIVE|OFF
gpu|gpu|up|2-00:00:00|2|128|1031000|gpu:h100:8,nvme:1|EXCLUSIVE|OFF
short|short|down|1:00|4|2+|4000+|gpu:2|FORCE:2|SUSPEND,GANG
"""


def partition(name: str) -> Partition:
    return {one.name: one for one in read_partitions(SINFO)}[name]


def test_a_partition_of_unlike_nodes_is_told_once_with_the_best_of_them() -> None:
    assert [one.name for one in read_partitions(SINFO)] == ["debug", "gpu", "short"]
    gpu = partition("gpu")
    assert (gpu.nodes, gpu.cores, gpu.memory_mib, gpu.gpus, gpu.gpu_kinds) == (10, 128, 1031000, 8, ("a100", "h100"))
    assert str(gpu) == "10 nodes of 128 cores, 1007 GiB, 8 GPUs (a100, h100); up to 2-00:00:00"


def test_the_default_is_marked_with_a_star() -> None:
    assert [one.name for one in read_partitions(SINFO) if one.default] == ["debug"]


@pytest.mark.parametrize(("name", "seconds"), [("debug", None), ("gpu", 172800), ("short", 60)])
def test_time_limits_are_read_as_slurm_writes_them(name: str, seconds: int | None) -> None:
    assert partition(name).limit_s == seconds


@pytest.mark.parametrize("text", ["", "\n", "what is this?", "sinfo: warning|x"])
def test_other_words_are_no_partitions(text: str) -> None:
    assert read_partitions(text) == []


@pytest.mark.parametrize(
    ("name", "asked", "complaint"),
    [
        ("gpu", {"nodes": 11}, "the site asks for 11 nodes"),
        ("gpu", {"gpus_per_node": 9}, "the site asks for 9 GPUs per node"),
        ("gpu", {"ranks_per_node": 8, "cpus_per_rank": 17}, "the site asks for 136 cores per node"),
        ("gpu", {"memory": "1T"}, "the site asks for 1048576 MiB of memory per node"),
        ("gpu", {"time_limit": "2-00:00:01"}, "the site asks for 2-00:00:01"),
        ("short", {}, "it is not up"),
    ],
)
def test_what_a_partition_does_not_have_is_said(name: str, asked: dict[str, object], complaint: str) -> None:
    assert list(partition(name).complaints(Site.model_validate(asked))) == [complaint]


def test_a_site_may_ask_for_all_that_there_is() -> None:
    site = Site(nodes=10, ranks_per_node=8, cpus_per_rank=16, gpus_per_node=8, memory="1000G", time_limit="2-00:00:00")
    assert list(partition("gpu").complaints(site)) == []


def test_where_others_may_share_the_cores_or_stop_a_job_times_are_in_doubt() -> None:
    assert list(partition("gpu").timing_risks()) == []
    assert [doubt.split(":")[0] for doubt in partition("short").timing_risks()] == [
        "OverSubscribe=FORCE",
        "PreemptMode=SUSPEND,GANG",
    ]
