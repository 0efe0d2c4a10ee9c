"""A results folder may have any name that the scheduler can say: nothing of it is executed, and runs find it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from daemons import wait_until
from grid_engine import GridEngine
from slurm_cluster import SlurmCluster

EVIL = "a b 'c' \"d\" $(touch pwned1) `touch pwned2` ; touch pwned3 & > pwned4 * ~ {{ 7 * 7 }} %j ,: #"
MORE_EVIL = EVIL + " \\ $JOB_ID"  # Slurm takes no backslash
EXPERIMENT = """\
name: small
pairs:
  - {model: digits-cnn, dataset: digits, recipe: {epochs: 1, global_batch: 48, lr: 0.05}}
strategies: [{random: {fraction: 0.9}, label: baseline}]
seeds: [0]
"""


def runs_to_its_end(folder: Path, results: str, site: str, env: Mapping[str, str]) -> None:
    """Hand in one short run with results in a folder below ``folder``, wait for it, and look for traces."""
    (folder / "small.yaml").write_text(EXPERIMENT)
    (folder / "site.yaml").write_text(site)
    command = [sys.executable, "-m", "kbench", "run", "small.yaml", "--site", "site.yaml", "--results", results]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    [run] = (folder / results / "small" / "runs").iterdir()
    log = next((folder / results / "small" / "jobs").glob("*.sh")).with_suffix(".log")
    wait_until(
        lambda: (run / "done.json").exists() or (run / "failed.json").exists(),
        within_s=60,
        what=lambda: f"the run ends; {log.read_text() if log.exists() else 'its job never began'}",
    )
    assert (run / "done.json").exists(), (run / "failed.json").read_text()
    assert {path.name for path in folder.iterdir()} == {"small.yaml", "site.yaml", results}


@pytest.mark.slurm
def test_slurm_writes_into_a_folder_of_an_evil_name(slurm: SlurmCluster, tmp_path: Path) -> None:
    runs_to_its_end(tmp_path, EVIL, "launcher: slurm\nthreads_per_rank: 1\n", slurm.env)


@pytest.mark.sge
def test_a_grid_engine_writes_into_a_folder_of_an_evil_name(sge: GridEngine, tmp_path: Path) -> None:
    queue = "{submit: [qsub, -terse], list: [qstat], cancel: [qdel]}"
    site = f"launcher: queue\ntemplate: sge\nqueue: {queue}\nthreads_per_rank: 1\n"
    runs_to_its_end(tmp_path, MORE_EVIL, site, sge.env)
