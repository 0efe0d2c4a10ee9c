"""Clusters on this machine, started when a test asks for one and stopped with the last test."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import need
from grid_engine import TOOLS as SGE_TOOLS
from grid_engine import GridEngine
from hosts import TOOLS as HOSTS_TOOLS
from hosts import Hosts
from slurm_cluster import TOOLS as SLURM_TOOLS
from slurm_cluster import SlurmCluster
from slurm_conf import CLOUD
from users import Kbench, User


@pytest.fixture(scope="session")
def slurm_daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A Slurm of four nodes, whatever tests have left of it."""
    need(*SLURM_TOOLS)
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def slurm(slurm_daemons: SlurmCluster) -> SlurmCluster:
    """A Slurm of four nodes, all idle, without jobs."""
    slurm_daemons.tidy()
    return slurm_daemons


@pytest.fixture(scope="session")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A Slurm of two nodes, and of a thousand more in its partition cloud that are handed out but never boot."""
    need(*SLURM_TOOLS)
    cluster = SlurmCluster(tmp_path_factory.mktemp("thousand"), nodes=2, more=CLOUD)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def sge_daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GridEngine]:
    """A Grid Engine of one host, whatever tests have left of it."""
    need(*SGE_TOOLS)
    cluster = GridEngine(tmp_path_factory.mktemp("sge"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def sge(sge_daemons: GridEngine) -> GridEngine:
    """A Grid Engine of one host, without jobs."""
    sge_daemons.tidy()
    return sge_daemons


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Two hosts that can be reached by ssh from a third, the login node."""
    need(*HOSTS_TOOLS)
    played = Hosts(tmp_path_factory.mktemp("hosts"))
    try:
        played.start()
        yield played
    finally:
        played.stop()


@pytest.fixture
def on_slurm(slurm: SlurmCluster, kbench: Kbench, tmp_path: Path) -> User:
    """A user of the Slurm of four nodes."""
    return User(tmp_path, kbench, slurm.settings)


@pytest.fixture
def on_sge(sge: GridEngine, kbench: Kbench, tmp_path: Path) -> User:
    """A user of the Grid Engine."""
    return User(tmp_path, kbench, sge.settings)


@pytest.fixture
def on_hosts(hosts: Hosts, clean_env: dict[str, str], tmp_path: Path) -> User:
    """A user on the login node before two hosts."""

    def call(*words: str, env: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
        command = hosts.on("login", sys.executable, "-m", "kbench", *words)
        return subprocess.run(command, cwd=cwd, env=clean_env | env, capture_output=True, text=True, timeout=300)

    return User(tmp_path, call, hosts.settings)


@pytest.fixture
def on_thousand(thousand: SlurmCluster, kbench: Kbench, tmp_path: Path) -> User:
    """A user of the Slurm of a thousand nodes."""
    thousand.tidy()
    return User(tmp_path, kbench, thousand.settings)
