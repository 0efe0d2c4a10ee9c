"""What a Slurm has and allows, in the words of its own commands."""

from collections.abc import Callable

import pytest

from kbench.config.site import Site
from kbench.launch.diagnosis import Finding, FindingState
from kbench.launch.schedulers.slurm import (
    SHOWN_PARTITIONS,
    Partition,
    Slurm,
    compare_partitions,
    explain_settings,
    read_partitions,
)

Plays = Callable[[str, str], object]

DEBUG = "debug|debug*|up|infinite|4|2|4000|(null)|NO|OFF\n"
CONFIG = {
    "AccountingStorageType": "accounting_storage/none",
    "JobRequeue": "1",
    "MaxArraySize": "1001",
    "MaxJobCount": "10000",
    "MinJobAge": "300 sec",
    "PreemptMode": "OFF",
    "PreemptType": "preempt/none",
}


def named(items: list[Finding], name: str) -> Finding:
    return next(item for item in items if item.name == name)


def test_a_machine_without_slurm_is_fine_until_a_site_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for fatal in (False, True):
        [item] = Slurm.diagnose(Site(), needed=fatal)
        assert (item.state, item.found, item.is_fatal) == (FindingState.MISSING, "no sbatch", fatal)


def test_a_controller_that_is_down_is_told_in_slurms_words(plays: Plays) -> None:
    for name in ("sbatch", "srun", "squeue", "scancel", "sinfo"):
        plays(name, "exit 1")
    plays("scontrol", 'echo "Slurmctld(primary) at head is DOWN"; exit 1')
    [item] = Slurm.diagnose(Site(launcher="slurm"), needed=True)
    assert item.is_fatal
    assert item.found == "its controller does not answer (Slurmctld(primary) at head is DOWN)"


def test_the_default_partition_is_judged_and_others_are_shown() -> None:
    every = read_partitions(DEBUG + "long|long|up|infinite|4|2|4000|(null)|NO|OFF\n")
    items = list(compare_partitions(every, Site(nodes=5), needed=True))
    assert [(item.name, item.is_fatal) for item in items] == [("partition debug", True), ("partition long", False)]
    assert items[0].found.endswith("; the site asks for 5 nodes")


def test_a_partition_that_a_site_names_and_nobody_has_is_missing() -> None:
    [item] = compare_partitions(read_partitions(DEBUG), Site(partition="debgu"), needed=True)
    assert (item.is_fatal, item.found) == (True, "not there; did you mean 'debug'?")


def test_a_cluster_of_many_partitions_does_not_fill_the_screen() -> None:
    text = "".join(f"p{n}|p{n}|up|infinite|4|2|4000|(null)|NO|OFF\n" for n in range(40))
    items = list(compare_partitions(read_partitions(DEBUG + text), Site(), needed=True))
    assert len(items) == SHOWN_PARTITIONS + 2
    assert items[-1].found == f"{40 - SHOWN_PARTITIONS} more; sinfo lists them"


def test_a_partition_in_which_times_are_in_doubt_is_a_warning() -> None:
    shared = DEBUG.replace("|NO|", "|FORCE:4|")
    [item] = compare_partitions(read_partitions(shared), Site(), needed=True)
    assert item.state is FindingState.WARNING


def test_accounting_that_is_off_is_no_fault_and_its_meaning_is_told() -> None:
    item = named(list(explain_settings(CONFIG, Site())), "accounting")
    assert item.state is FindingState.OK
    assert item.found.startswith("off: Slurm forgets a job 300 sec after its end")


@pytest.mark.parametrize(
    ("kind", "mode", "state", "words"),
    [
        ("preempt/none", "OFF", FindingState.OK, "nothing is preempted"),
        ("preempt/partition_prio", "REQUEUE", FindingState.OK, "preempted jobs too (REQUEUE)"),
        ("preempt/qos", "CANCEL", FindingState.WARNING, "preempted jobs do not (PreemptMode CANCEL)"),
        (
            "preempt/partition_prio",
            "SUSPEND,GANG",
            FindingState.WARNING,
            "preempted jobs do not (PreemptMode SUSPEND,GANG)",
        ),
    ],
)
def test_whether_a_preempted_job_comes_back_is_told(kind: str, mode: str, state: FindingState, words: str) -> None:
    config = CONFIG | {"PreemptType": kind, "PreemptMode": mode}
    item = named(list(explain_settings(config, Site())), "requeue")
    assert item.state is state
    assert item.found == f"jobs of failed nodes go back into the queue by default; {words}"


def test_a_cluster_without_job_arrays_wants_a_job_for_each_run() -> None:
    config = CONFIG | {"MaxArraySize": "0"}
    assert named(list(explain_settings(config, Site())), "job arrays").remedy == "arrays: false in the site file"
    found = [item.name for item in explain_settings(config, Site(arrays=False))]
    assert "job arrays" not in found


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
