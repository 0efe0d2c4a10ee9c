"""The doctor on real clusters: what it tells is what their own commands tell."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from grid_engine import GridEngine
from slurm_cluster import SlurmCluster

SampleReader = dict[str, dict[str, Any]]


def doctor(folder: Path, site: str, env: Mapping[str, str]) -> tuple[int, SampleReader, str]:
    """Exit status, findings by name, and what was said on stderr."""
    (folder / "mine.yaml").write_text(site)
    command = [sys.executable, "-m", "kbench", "doctor", "--site", "mine.yaml", "--json"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    return done.returncode, {item["name"]: item for item in json.loads(done.stdout)["items"]}, done.stderr


@pytest.mark.slurm
def test_a_slurm_tells_its_partitions_and_settings(slurm: SlurmCluster, tmp_path: Path) -> None:
    code, items, said = doctor(tmp_path, "launcher: slurm\nnodes: 4\n", slurm.env)
    assert (code, said) == (0, "")
    assert items["slurm"]["found"].endswith("its controller answers")
    assert items["partition debug"]["found"] == "4 nodes of 4 cores, 4 GiB; up to infinite"
    assert items["partition short"]["found"].endswith("up to 1:00")
    assert items["accounting"]["found"].startswith("off: Slurm forgets a job")
    assert items["requeue"]["found"].endswith("preempted jobs too (REQUEUE)")
    assert items["job arrays"]["found"].startswith("task numbers below 1001")
    assert items["results folder"]["state"] == "warning", "the nodes may not see it"


@pytest.mark.slurm
def test_where_a_slurm_answers_a_site_that_leaves_it_open_means_that(slurm: SlurmCluster, tmp_path: Path) -> None:
    code, items, _ = doctor(tmp_path, "launcher: auto\nnodes: 9\n", slurm.env)
    assert items["site"]["found"].endswith("launcher auto, here slurm")
    assert (code, items["partition debug"]["found"].split("; ")[-1]) == (3, "the site asks for 9 nodes")


@pytest.mark.slurm
def test_a_site_that_asks_a_slurm_for_too_much_ends_with_3(slurm: SlurmCluster, tmp_path: Path) -> None:
    site = 'launcher: slurm\npartition: short\nnodes: 5\ngpus_per_node: 1\ntime_limit: "01:00:00"\n'
    code, items, said = doctor(tmp_path, site, slurm.env)
    assert code == 3
    assert "needs: partition short" in said
    asked = "the site asks for 01:00:00; the site asks for 5 nodes; the site asks for 1 GPUs per node"
    assert items["partition short"]["found"].endswith(asked)


@pytest.mark.slurm
def test_a_controller_that_is_down_ends_with_3(slurm: SlurmCluster, tmp_path: Path) -> None:
    slurm.kill_controller()
    code, items, said = doctor(tmp_path, "launcher: slurm\n", slurm.env)
    assert (code, items["slurm"]["state"]) == (3, "missing")
    assert "is DOWN" in items["slurm"]["found"]


@pytest.mark.sge
def test_a_grid_engine_tells_its_parallel_environments(sge: GridEngine, tmp_path: Path) -> None:
    queue = "{submit: [qsub, -terse], list: [qstat], cancel: [qdel]}"
    code, items, said = doctor(tmp_path, f"launcher: queue\ntemplate: sge\nqueue: {queue}\n", sge.env)
    assert (code, said) == (0, "")
    assert items["qsub"]["found"].startswith("Grid Engine, SGE ")
    assert items["parallel env."]["found"].split(";")[0] == "mpi"
    assert items["queue"]["state"] == "ok"
