"""A run over several hosts by a plain mpirun and its hostfile."""

import subprocess
import sys
from pathlib import Path

import pytest
from hosts import Hosts
from users import User

pytestmark = pytest.mark.dist

ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
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


def test_mpirun_starts_ranks_on_two_hosts(hosts: Hosts, tmp_path: Path) -> None:
    hostfile = hosts.hostfile(tmp_path / "hostfile", slots=1)
    mpirun = str(Path(sys.executable).parent / "mpirun")
    rank = 'echo "rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE on $(hostname)"'
    words = hosts.on("login", mpirun, "--hostfile", str(hostfile), "-np", "2", "bash", "-c", rank)
    done = subprocess.run(words, env=hosts.env | ROOT, capture_output=True, text=True, timeout=60)
    assert sorted(done.stdout.splitlines()) == ["rank 0 of 2 on h1", "rank 1 of 2 on h2"], done.stderr
