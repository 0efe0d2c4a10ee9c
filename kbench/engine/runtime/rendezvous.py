"""Rendezvous: how the ranks of a run join into a process group, and leave it."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from kbench import files
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv, hosts_over_mpi, share_over_mpi
from kbench.errors import LaunchError, WorkloadError

MEET_S = 300.0  # nodes of a large job come up minutes apart


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
def together(env: RankEnv, device: torch.device, *, folder: Path | None = None, interface: str = "") -> Iterator[Comm]:
    """Join the other ranks, over NCCL on GPUs and gloo on CPUs; leave them at the end.

    Ranks that srun started meet by a file in the run's ``folder``, those of mpirun over MPI, and
    others where they were told to.  ``interface`` is the network over which rank 0 is reached.
    Raises LaunchError when the others cannot be reached.
    """
    if env.size == 1:
        yield Comm()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    if interface:
        os.environ.update(GLOO_SOCKET_IFNAME=interface, NCCL_SOCKET_IFNAME=interface)
    try:
        if env.master:
            dist.init_process_group(backend, init_method="env://", rank=env.rank, world_size=env.size)
        else:
            store = _meet_by_file(env, folder, interface) if env.meeting and folder else _meet(env)
            dist.init_process_group(backend, store=store, rank=env.rank, world_size=env.size)
    except (RuntimeError, ValueError) as error:
        raise LaunchError(
            f"rank {env.rank} of {env.size} cannot reach the others: {str(error).splitlines()[0]}",
            hint="set network_interface in the site file (kbench doctor lists the interfaces of a machine)",
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


def _meet_by_file(env: RankEnv, folder: Path, interface: str) -> "dist.TCPStore":  # type: ignore[name-defined]
    """Open a store on a port that the system chose, and tell the others through a file that all nodes see."""
    path = folder / f".meet-{env.meeting}.json"
    if env.rank == 0:
        there = socket.getfqdn() if not interface else address_of(interface)
        store = dist.TCPStore(there, 0, env.size, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
        files.write_json(path, {"host": socket.gethostname(), "address": there, "port": store.port})
        store.wait([f"met{rank}" for rank in range(1, env.size)], timedelta(seconds=MEET_S))
        path.unlink(missing_ok=True)
        return store
    meeting = _read_meeting(path, env)
    address = "127.0.0.1" if meeting["host"] == socket.gethostname() else meeting["address"]
    store = dist.TCPStore(address, meeting["port"], env.size, is_master=False)  # type: ignore[attr-defined]
    store.set(f"met{env.rank}", "")
    return store


def _read_meeting(path: Path, env: RankEnv) -> dict[str, Any]:
    """Read where rank 0 listens; the folder is listed each time, as file systems cache that a file was missing."""
    deadline = time.monotonic() + MEET_S
    while time.monotonic() < deadline:
        if path.name in os.listdir(path.parent):
            meeting: dict[str, Any] = files.read_json(path)
            if meeting:
                return meeting
        time.sleep(0.05)
    raise LaunchError(
        f"rank {env.rank} of {env.size} on {env.node} does not see rank 0 in {path.parent} after {MEET_S:g} s",
        hint="do all nodes share this folder?  kbench logs shows what rank 0 printed",
    )


def address_of(interface: str) -> str:
    """The IPv4 address of a network interface of this machine; raises LaunchError when it has none."""
    import psutil

    interfaces = psutil.net_if_addrs()
    for address in interfaces.get(interface, ()):
        if address.family == socket.AF_INET:
            return str(address.address)
    raise LaunchError(
        f"network_interface: {socket.gethostname()} has no address on {interface!r}; it has {', '.join(interfaces)}",
        hint="see network_interface in the site file",
    )


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
