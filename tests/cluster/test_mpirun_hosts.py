"""A run over several hosts by a plain mpirun and its hostfile."""

import pytest
from hosts import Hosts
from users import User

pytestmark = pytest.mark.dist

SITE = """\
launcher: mpirun
nodes: 2
threads_per_rank: 1
hostfile: hostfile
"""


def test_ranks_on_two_hosts_train_one_model(on_hosts: User, hosts: Hosts) -> None:
    user = on_hosts
    hosts.hostfile(user.folder / "hostfile", slots=1)
    user.writes(SITE, "baseline")
    user.runs()
    run = user.found()["baseline.s0"]
    assert run.is_done() and run.read().provenance.hosts == ("h1", "h2")
