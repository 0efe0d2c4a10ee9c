"""Ranks greet one another through a real mpirun; interfaces are those of the system."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.doctor.mpi import hello_command, interfaces, misunderstanding, mpi, network
from kbench.doctor.need import Need
from kbench.launch.diagnosis import Answer, FindingState

Needs = Callable[..., Need]
Plays = Callable[[str, str], Path]


@pytest.mark.dist
def test_two_ranks_meet_over_mpi(needs: Needs) -> None:
    mpirun, ranks = mpi(needs(launcher="mpirun", ranks_per_node=2))
    assert (mpirun.state, ranks.state) == (FindingState.OK, FindingState.OK)
    assert ranks.found.startswith("2 ranks met over mpi4py on ")


def test_ranks_that_are_started_where_the_site_says_are_named_to_mpirun(needs: Needs) -> None:
    words = hello_command(
        "mpirun", needs(launcher="mpirun", hosts=["one:1", "two:1"], mpirun_options=["-v"], python="py")
    )
    assert words[:-1] == ["mpirun", "-np", "2", "--host", "one:1,two:1", "-v", "py", "-c"]


def test_an_mpirun_that_fails_is_a_matter_only_for_sites_that_use_it(needs: Needs, plays: Plays) -> None:
    broken = plays("brokenrun", "echo no slots >&2; exit 1")
    _, item = mpi(needs(launcher="mpirun", mpirun=str(broken)))
    assert (item.is_fatal, item.found) == (True, f"{broken}: no slots")
    _, item = mpi(needs(mpirun=str(broken)))
    assert item.is_fatal is False


@pytest.mark.parametrize(
    ("out", "trouble"),
    [
        ("hello 2 a b\nhello 2 a b\n", ""),
        ("warning: x\nhello 2 a b\nhello 2 a b\n", ""),
        ("hello 1 a\nhello 1 a\n", "one of 2 ranks believes that there are 1"),
        ("hello 2 a b\n", "1 of 2 ranks said hello"),
    ],
)
def test_ranks_that_believe_to_be_alone_are_found_out(out: str, trouble: str) -> None:
    assert misunderstanding(Answer(status=0, out=out, why="", seconds=0.1)) == trouble


def test_the_loop_back_interface_has_the_address_that_all_give_it() -> None:
    assert interfaces()["lo"] == "127.0.0.1"


def test_an_interface_that_the_site_names_and_this_machine_lacks_is_missing(needs: Needs) -> None:
    item, _ = network(needs(network_interface="ib77"))
    assert (item.is_fatal, item.found.endswith("; no ib77")) == (True, True)


def test_compute_nodes_may_have_an_interface_that_a_login_node_lacks(needs: Needs) -> None:
    item, _ = network(needs(launcher="slurm", network_interface="ib77"))
    assert item.state is FindingState.WARNING


def test_an_interface_that_is_there_is_good(needs: Needs) -> None:
    item, name = network(needs(network_interface="lo"))
    assert item.state is FindingState.OK
    assert name.name == "host name"
