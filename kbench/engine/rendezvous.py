"""How the ranks of a run find one another, and part."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import torch.distributed as dist

from kbench.engine.comm import Comm
from kbench.errors import LaunchError, WorkloadError
from kbench.launch.ranks import RankEnv, hosts_over_mpi, share_over_mpi


def device_of(env: RankEnv) -> torch.device:
    """This rank's GPU, or the CPU where there is none.

    Raises WorkloadError when a node has GPUs, but fewer than ranks.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if env.local_rank >= torch.cuda.device_count():
        raise WorkloadError(
            f"rank {env.rank} is number {env.local_rank} on its node, which shows {torch.cuda.device_count()} GPUs",
            hint="start at most one rank per GPU: lower ranks_per_node",
        )
    device = torch.device("cuda", env.local_rank)
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = True
    return device


@contextmanager
def together(env: RankEnv, device: torch.device) -> Iterator[Comm]:
    """Join the other ranks, over NCCL on GPUs and gloo on CPUs; leave them at the end.

    Raises LaunchError when they cannot be reached.
    """
    if env.size == 1:
        yield Comm()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        if env.master:
            dist.init_process_group(backend, init_method="env://", rank=env.rank, world_size=env.size)
        else:
            dist.init_process_group(backend, store=_meet(env), rank=env.rank, world_size=env.size)
    except (RuntimeError, ValueError) as error:
        raise LaunchError(
            f"rank {env.rank} of {env.size} cannot reach the others: {str(error).splitlines()[0]}",
            hint="set MASTER_ADDR, or GLOO_SOCKET_IFNAME / NCCL_SOCKET_IFNAME, in the site's setup lines",
        ) from error
    yield Comm()
    dist.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End this process at once.

    Threads of gloo may still want the interpreter while it is taken down, and then the system ends
    them all with SIGABRT, after a run that went well.  Where a run failed, finalizing MPI would
    wait for ranks that wait for this one; where it went well, MPI wants to be told.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if code == 0 and "mpi4py.MPI" in sys.modules:
        sys.modules["mpi4py.MPI"].Finalize()
    os._exit(code)


def _meet(env: RankEnv) -> "dist.TCPStore":  # type: ignore[name-defined]
    """Open a store on a port that the system chose, and tell the others over MPI."""
    names = hosts_over_mpi()
    host = "127.0.0.1" if len(set(names)) == 1 else socket.getfqdn()
    if env.rank == 0:
        store = dist.TCPStore(host, 0, env.size, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
        share_over_mpi((host, store.port))
        return store
    host, port = share_over_mpi(None)
    return dist.TCPStore(host, port, env.size, is_master=False)  # type: ignore[attr-defined]
