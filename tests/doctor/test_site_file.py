"""A first site file says what a machine said of itself, and is a site."""

from collections.abc import Callable

import pytest

from kbench.config.site import Site
from kbench.config.yaml_source import read_text
from kbench.doctor.site_file import Machine, look_around, site_file
from kbench.launch.schedulers.registry import parse_site
from kbench.launch.schedulers.slurm import read_partitions

SINFO = """\
debug|debug*|up|infinite|4|2|4000|(null)|NO|OFF
gpu|gpu|up|2-00:00:00|8|64|515000|gpu:a100:4(S:0-1)|EXCLUSIVE|OFF
"""


def machine(**more: object) -> Machine:
    facts = {"host": "login1", "cores": 8, "gpus": (), "partitions": (), "modules": (), "interfaces": {}, **more}
    return Machine(**facts)  # type: ignore[arg-type]


def site(text: str) -> Site:
    return parse_site(read_text(text, "site.yaml"))


def test_on_a_slurm_the_partition_with_gpus_is_taken_and_the_others_are_named() -> None:
    text = site_file(
        machine(partitions=tuple(read_partitions(SINFO)), interfaces={"eth0": "10.0.0.1", "ib0": "10.1.0.1"})
    )
    found = site(text)
    assert (found.launcher, found.partition, found.ranks_per_node, found.gpus_per_node) == ("slurm", "gpu", 4, 4)
    assert (found.cpus_per_rank, found.time_limit, found.memory) == (16, "2-00:00:00", "452G")
    assert (found.network_interface, found.hostnames) == ("ib0", ("login1",))
    assert "#   debug: 4 nodes of 2 cores" in text


@pytest.mark.parametrize("queue", ["sge", "pbs", "lsf", "flux"])
def test_another_queue_gets_its_example_with_the_modules_that_may_matter(queue: str) -> None:
    text = site_file(machine(queue=queue, modules=("cuda/12.4", "openmpi/5.0")))
    assert site(text).template == queue
    assert "cuda/12.4, openmpi/5.0" in text


def test_a_machine_of_its_own_has_a_rank_for_each_gpu() -> None:
    assert site(site_file(machine(gpus=("A100", "A100")))).ranks_per_node == 2
    assert site(site_file(machine())).launcher == "auto"


def test_the_machine_is_asked_by_its_own_commands(plays: Callable[[str, str], object]) -> None:
    plays("sinfo", f"echo '{SINFO}'")
    plays("nvidia-smi", "echo A100; echo A100")
    found = look_around()
    assert [one.name for one in found.partitions] == ["debug", "gpu"] and found.gpus == ("A100", "A100")
