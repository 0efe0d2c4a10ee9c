"""Ranks on several hosts: by a plain mpirun and its hostfile, and by a file where names mislead."""

import subprocess
import sys
from pathlib import Path

import pytest
from hosts import Hosts
from users import User

pytestmark = pytest.mark.dist

ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
# What a rank of srun does: it meets the others by a file, and adds up.
MEET = """\
import os, socket
from pathlib import Path
import torch
from kbench.engine.runtime.ranks import rank_env
from kbench.engine.runtime.rendezvous import leave, together
with together(rank_env(), torch.device("cpu"), folder=Path()) as comm:
    total = comm.sum(torch.tensor([float(comm.rank)]))
    print(socket.getfqdn(), socket.gethostbyname(socket.gethostname()), total.item(), flush=True)
leave(0)
"""
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


def test_ranks_of_a_host_whose_own_name_is_on_its_loopback_line_meet_those_of_another(
    hosts: Hosts, clean_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "meet.py").write_text(MEET)
    ranks = []
    with hosts.names_on_loopback():
        for rank, host in enumerate(hosts.names):
            started = {"SLURM_PROCID": str(rank), "SLURM_NTASKS": "2", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7"}
            command, env = hosts.on(host, sys.executable, str(tmp_path / "meet.py")), clean_env | started
            ranks.append(subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True))
        printed = [rank.communicate(timeout=240)[0] for rank in ranks]
    assert printed == ["localhost 127.0.0.1 1.0\n"] * 2
