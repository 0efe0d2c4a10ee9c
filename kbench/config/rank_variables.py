"""Environment variables by which a process learns its rank: one table, for who reads them and for who removes them."""

from collections.abc import Mapping
from typing import NamedTuple


class Starter(NamedTuple):
    """What starts ranks, and the variables that it sets for each of them."""

    rank: str
    size: str
    local_rank: str
    others: tuple[str, ...] = ()  # prefixes of what else it sets for the processes of one start


# In this order: what is started inside an allocation also sees the scheduler's variables.
STARTERS = {
    "torchrun": Starter(
        *("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_", "TORCHRUN_"),
    ),
    "Open MPI": Starter(
        *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
        # Other OMPI_MCA_ are the user's settings, as of a module.
        (
            *("OMPI_COMM_WORLD_", "OMPI_UNIVERSE_", "OMPI_APP_CTX_", "OMPI_NUM_APP_CTX", "OMPI_FIRST_RANKS"),
            *("OMPI_ARGV", "OMPI_COMMAND", "OMPI_FILE_LOCATION", "OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_MCA_pmix"),
            *("PRTE_LAUNCHED", "PMIX_"),
        ),
    ),
    "Flux": Starter("FLUX_TASK_RANK", "FLUX_JOB_SIZE", "FLUX_TASK_LOCAL_ID", ("FLUX_TASK_", "FLUX_JOB_", "FLUX_PMI")),
    "MPICH": Starter(
        *("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
        ("PMI_", "PMI2_", "MPI_LOCAL", "HYDI_", "HYDRA_PROXY", "PALS_", "JSM_NAMESPACE_"),
    ),
    "MVAPICH": Starter(
        *("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"), ("MV2_COMM_WORLD_", "MPISPAWN_")
    ),
    "Slurm": Starter(
        *("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
        (
            *("SLURM_NODEID", "SLURM_GTIDS", "SLURM_TASK_PID", "SLURM_STEP", "SLURM_NPROCS", "SLURM_LAUNCH_"),
            *("SLURM_SRUN_", "SLURM_UMASK", "SLURM_CPU_BIND", "SLURM_DISTRIBUTION", "SLURM_MPI_TYPE", "SLURM_PMI"),
        ),
    ),
}  # fmt: skip
SLURM_SETTINGS = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")  # how its commands reach the controller


def without_ranks(environ: Mapping[str, str], *, allocation: bool = False) -> dict[str, str]:
    """An environment for what starts ranks anew: without what an earlier start set.

    Args:
        environ: The environment to clean.
        allocation: Keep the variables of an allocation of Slurm, which name the hosts that mpirun may use.
    """
    names = {name for starter in STARTERS.values() for name in starter[:3]}
    prefixes = tuple(prefix for starter in STARTERS.values() for prefix in starter.others)
    if not allocation:
        prefixes += ("SLURM_", "SLURMD_")
    return {
        key: value
        for key, value in environ.items()
        if key in SLURM_SETTINGS or not (key in names or key.startswith(prefixes))
    }
