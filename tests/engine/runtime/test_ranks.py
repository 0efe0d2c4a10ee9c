"""Who am I among the ranks, as torchrun, Open MPI, MPICH, Slurm and nobody tell it."""

import socket
import sys
from types import SimpleNamespace

import pytest

from kbench.engine.runtime.ranks import RankEnv, check_mpi_world, rank_env
from kbench.errors import LaunchError

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "6", "MPI_LOCALRANKID": "1"}
SLURM = {"SLURM_PROCID": "7", "SLURM_NTASKS": "9", "SLURM_LOCALID": "3"}


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        (TORCHRUN, ("torchrun", 5, 8, 1, ("node0", 29500))),
        (OPEN_MPI, ("Open MPI", 2, 4, 0, None)),
        (MPICH, ("MPICH", 3, 6, 1, None)),
        (SLURM, ("Slurm", 7, 9, 3, None)),
    ],
    ids=["torchrun", "Open MPI", "MPICH", "Slurm"],
)
def test_each_starter_tells_rank_size_and_local_rank(
    environ: dict[str, str], place: tuple[str, int, int, int, tuple[str, int] | None]
) -> None:
    found = rank_env(environ)
    assert (found.starter, found.rank, found.size, found.local_rank, found.master) == place


def test_who_was_started_by_nobody_stands_alone() -> None:
    here = socket.gethostname()
    expected = RankEnv(starter="none", rank=0, size=1, local_rank=0, master=None, node=here)
    assert rank_env({"PATH": "/bin", "HOME": "/root"}) == expected


def test_ranks_of_srun_meet_under_a_name_that_only_they_have_and_know_their_node() -> None:
    started = SLURM | {"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "3", "SLURMD_NODENAME": "n4"}
    assert (rank_env(started).meeting, rank_env(started).node) == ("12-0-3", "n4")
    assert rank_env(started | {"SLURM_RESTART_COUNT": "1"}).meeting == "12-1-3"


def test_srun_that_sets_the_variables_of_mpich_too_is_still_srun() -> None:
    theirs = {"PMI_RANK": SLURM["SLURM_PROCID"], "PMI_SIZE": SLURM["SLURM_NTASKS"], "SLURM_STEP_ID": "0"}
    assert rank_env(SLURM | theirs).starter == "Slurm"


@pytest.mark.parametrize(
    ("environ", "starter"),
    [
        (SLURM | MPICH | OPEN_MPI | TORCHRUN, "torchrun"),
        (SLURM | MPICH | OPEN_MPI, "Open MPI"),
        (SLURM | MPICH, "MPICH"),
    ],
    ids=["torchrun first", "then Open MPI", "then MPICH"],
)
def test_the_nearest_starter_wins_inside_an_allocation(environ: dict[str, str], starter: str) -> None:
    assert rank_env(environ).starter == starter


def test_a_master_address_is_used_whoever_started_the_ranks() -> None:
    environ = OPEN_MPI | {"MASTER_ADDR": "node7", "MASTER_PORT": "4000"}
    assert rank_env(environ).master == ("node7", 4000)


def test_an_address_without_a_port_is_no_master() -> None:
    assert rank_env(OPEN_MPI | {"MASTER_ADDR": "node7"}).master is None


def test_without_a_local_rank_all_ranks_are_taken_to_share_a_node() -> None:
    assert rank_env({"PMI_RANK": "3", "PMI_SIZE": "6"}).local_rank == 3


@pytest.mark.parametrize("text", ["", "two", "1.5", "0x1"])
@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"])
def test_a_number_that_is_none_is_a_launch_error_that_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(LaunchError, match=f"^{name}: must be a number, got {text!r}$"):
        rank_env(OPEN_MPI | {name: text})


def test_a_port_that_is_no_number_is_a_launch_error() -> None:
    with pytest.raises(LaunchError, match="^MASTER_PORT: must be a number, got 'http'$"):
        rank_env(TORCHRUN | {"MASTER_PORT": "http"})


@pytest.mark.parametrize(
    ("rank", "size"),
    [("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE")],
)
def test_a_rank_without_a_size_is_a_launch_error_and_not_alone(rank: str, size: str) -> None:
    with pytest.raises(LaunchError, match=f"{rank} is set, {size} is not"):
        rank_env({rank: "1"})


def test_half_of_one_starter_does_not_hide_the_whole_of_another() -> None:
    assert rank_env({"RANK": "1"} | OPEN_MPI).starter == "Open MPI"


def test_ranks_that_another_mpi_started_say_so_before_they_wait_for_one_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = SimpleNamespace(Get_rank=lambda: 0, Get_size=lambda: 1)
    mpi = SimpleNamespace(COMM_WORLD=alone, Get_library_version=lambda: "Open MPI v5.0.8, package: x")
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=mpi))
    started = rank_env({"PMI_RANK": "1", "PMI_SIZE": "2"})
    with pytest.raises(LaunchError, match=r"rank 1 of 2, started by MPICH, is rank 0 of 1 .* \(Open MPI v5.0.8\)"):
        check_mpi_world(started)
    check_mpi_world(rank_env({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}))


def test_ranks_of_flux_meet_under_the_name_of_their_job() -> None:
    started = {"FLUX_TASK_RANK": "1", "FLUX_JOB_SIZE": "4", "FLUX_TASK_LOCAL_ID": "1", "FLUX_JOB_ID": "f2x"}
    found = rank_env(started | {"PMI_RANK": "1", "PMI_SIZE": "4"})
    assert (found.starter, found.rank, found.size, found.local_rank, found.meeting) == ("Flux", 1, 4, 1, "f2x")
