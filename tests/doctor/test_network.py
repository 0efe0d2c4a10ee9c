"""Interfaces are those of the system, and the site's must be among them."""

from collections.abc import Callable

from kbench.doctor.mpi import interfaces, network
from kbench.doctor.need import Need
from kbench.launch.diagnosis import FindingState

Needs = Callable[..., Need]


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
