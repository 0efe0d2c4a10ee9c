"""The Slurm that the other tests stand on is a real one."""

from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slurm

JOB = """\
#!/bin/bash
echo "start ${SLURM_RESTART_COUNT:-0} $SLURM_JOB_NODELIST"
srun bash -c 'echo "rank $SLURM_PROCID on $SLURMD_NODENAME"; sleep 100'
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
