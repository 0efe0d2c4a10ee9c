"""What a Slurm has and allows, in the words of its own commands."""

from collections.abc import Callable

import pytest

from kbench.config.site import Site
from kbench.doctor.need import Need
from kbench.doctor.schedulers import MAX_SHOWN, SCHEDULERS, judge, read_partitions, settings
from kbench.launch.diagnosis import Finding, FindingState

Needs = Callable[..., Need]
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


def test_a_machine_without_slurm_is_fine_until_a_site_needs_it(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for launcher, fatal in (("local", False), ("slurm", True)):
        [item] = SCHEDULERS["slurm"](needs(launcher=launcher))
        assert (item.state, item.found, item.is_fatal) == (FindingState.MISSING, "no sbatch", fatal)


def test_a_controller_that_is_down_is_told_in_slurms_words(needs: Needs, plays: Plays) -> None:
    for name in ("sbatch", "srun", "squeue", "scancel", "sinfo"):
        plays(name, "exit 1")
    plays("scontrol", 'echo "Slurmctld(primary) at head is DOWN"; exit 1')
    [item] = SCHEDULERS["slurm"](needs(launcher="slurm"))
    assert item.is_fatal
    assert item.found == "its controller does not answer (Slurmctld(primary) at head is DOWN)"


def test_the_default_partition_is_judged_and_others_are_shown(needs: Needs) -> None:
    every = read_partitions(DEBUG + "long|long|up|infinite|4|2|4000|(null)|NO|OFF\n")
    items = list(judge(every, Site(nodes=5), needed=True))
    assert [(item.name, item.is_fatal) for item in items] == [("partition debug", True), ("partition long", False)]
    assert items[0].found.endswith("; the site asks for 5 nodes")


def test_a_partition_that_a_site_names_and_nobody_has_is_missing(needs: Needs) -> None:
    [item] = judge(read_partitions(DEBUG), Site(partition="debgu"), needed=True)
    assert (item.is_fatal, item.found) == (True, "not there; did you mean 'debug'?")


def test_a_cluster_of_many_partitions_does_not_fill_the_screen(needs: Needs) -> None:
    text = "".join(f"p{n}|p{n}|up|infinite|4|2|4000|(null)|NO|OFF\n" for n in range(40))
    items = list(judge(read_partitions(DEBUG + text), Site(), needed=True))
    assert len(items) == MAX_SHOWN + 2
    assert items[-1].found == f"{40 - MAX_SHOWN} more; sinfo lists them"


def test_a_partition_in_which_times_are_in_doubt_is_a_warning(needs: Needs) -> None:
    shared = DEBUG.replace("|NO|", "|FORCE:4|")
    [item] = judge(read_partitions(shared), Site(), needed=True)
    assert item.state is FindingState.WARNING


def test_accounting_that_is_off_is_no_fault_and_its_meaning_is_told(needs: Needs) -> None:
    item = named(list(settings(CONFIG, Site())), "accounting")
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
def test_whether_a_preempted_job_comes_back_is_told(
    needs: Needs, kind: str, mode: str, state: FindingState, words: str
) -> None:
    config = CONFIG | {"PreemptType": kind, "PreemptMode": mode}
    item = named(list(settings(config, Site())), "requeue")
    assert item.state is state
    assert item.found == f"jobs of failed nodes go back into the queue by default; {words}"


def test_a_cluster_without_job_arrays_wants_a_job_for_each_run(needs: Needs) -> None:
    config = CONFIG | {"MaxArraySize": "0"}
    assert named(list(settings(config, Site())), "job arrays").remedy == "arrays: false in the site file"
    found = [item.name for item in settings(config, Site(arrays=False))]
    assert "job arrays" not in found
