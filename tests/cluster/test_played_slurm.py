"""The Slurm that the other tests stand on is a real one."""

from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slurm

JOB = """\
#!/bin/bash
echo "start ${SLURM_RESTART_COUNT:-0} $SLURM_JOB_NODELIST"
srun bash -c 'echo "rank $SLURM_PROCID on $SLURMD_NODENAME"; sleep 100'
sleep 100  # a script that ends within the grace time of its preemption is not put back, but over
"""


def submit(slurm: SlurmCluster, folder: Path, *options: str) -> tuple[str, Path]:
    """A job of two ranks on two nodes, and what it prints."""
    script, log = folder / "job.sh", folder / "log"
    script.write_text(JOB)
    words = ("sbatch", "--parsable", "-N2", "-n2", "--open-mode=append", f"--output={log}", *options, str(script))
    return slurm.run(*words).strip(), log


def test_ranks_start_on_two_nodes(slurm: SlurmCluster, tmp_path: Path) -> None:
    job, log = submit(slurm, tmp_path)
    slurm.await_state(job, "RUNNING")
    slurm.await_text(log, "rank 0 on n1", "rank 1 on n2")
    slurm.run("scancel", job)
    slurm.await_state(job, "CANCELLED")


def test_a_job_on_a_dead_node_is_put_back_and_starts_elsewhere(slurm: SlurmCluster, tmp_path: Path) -> None:
    job, log = submit(slurm, tmp_path)
    slurm.await_text(log, "rank 1 on n2")
    slurm.kill_node("n2")
    slurm.await_state(job, "PENDING")
    slurm.start_now(job)
    slurm.await_text(log, "start 1 ")
    assert slurm.node_states()["n2"] == "down*"
    assert "n2" not in slurm.states("%i|%N")[job]


def test_a_cheap_job_makes_way_for_an_urgent_one(slurm: SlurmCluster, tmp_path: Path) -> None:
    cheap, log = submit(slurm, tmp_path, "--partition=cheap", "--nodes=4", "--ntasks=16")
    slurm.await_text(log, "rank 15 on n4")
    urgent, _ = submit(slurm, tmp_path, "--partition=urgent", "--output=/dev/null")
    slurm.await_state(urgent, "RUNNING")
    assert slurm.states()[cheap] == "PENDING"
