"""What a job reads of itself from the variables of its scheduler."""

from pathlib import Path

import pytest

from kbench.launch.schedulers.registry import current_job
from kbench.launch.schedulers.slurm import expand_node_list


@pytest.mark.parametrize(
    ("short", "names"),
    [
        ("n1", ["n1"]),
        ("n[1-3,7],m2", ["n1", "n2", "n3", "n7", "m2"]),
        ("gpu-[008-011]", ["gpu-008", "gpu-009", "gpu-010", "gpu-011"]),
        ("r[1-2]c[3-4],x", ["r1c3", "r1c4", "r2c3", "r2c4", "x"]),
        ("", []),
    ],
)
def test_slurm_s_short_form_of_nodes_is_read_in_full(short: str, names: list[str]) -> None:
    assert list(expand_node_list(short)) == names


def test_a_thousand_nodes_are_read_in_full() -> None:
    assert len(expand_node_list("cloud[0001-1000]")) == 1000


def test_a_task_of_an_array_is_known_by_array_and_task() -> None:
    slurm = {"SLURM_JOB_ID": "6", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_RESTART_COUNT": "2"}
    task = current_job(environ=slurm | {"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "3"})
    assert (task.scheduler, task.id, task.nodes, task.restarts) == ("slurm", "5_3", ("n1", "n2"), 2)
    assert (current_job(environ=slurm).id, current_job(environ=slurm).components) == ("6", 1)
    assert current_job(environ=slurm | {"SLURM_HET_SIZE": "2"}).components == 2


def test_grid_engine_and_pbs_list_their_nodes_in_files(tmp_path: Path) -> None:
    (tmp_path / "pe").write_text("one 2 all.q@one UNDEFINED\ntwo 2 all.q@two UNDEFINED\n")
    (tmp_path / "pbs").write_text("one\none\ntwo\n")
    sge = current_job(environ={"JOB_ID": "7", "PE_HOSTFILE": str(tmp_path / "pe"), "RESTARTED": "1"})
    assert (sge.scheduler, sge.id, sge.nodes, sge.restarts, sge.requeue()) == ("sge", "7", ("one", "two"), 1, 99)
    pbs = current_job(environ={"PBS_JOBID": "7.server", "PBS_NODEFILE": str(tmp_path / "pbs")})
    assert (pbs.scheduler, pbs.id, pbs.nodes) == ("pbs", "7.server", ("one", "two"))


def test_outside_of_a_job_there_is_no_other_turn_to_be_had() -> None:
    nowhere = current_job(environ={"HOME": "/root"})
    assert (nowhere.scheduler, nowhere.id, nowhere.nodes, nowhere.requeue()) == ("none", "", (), None)
