"""Rendezvous: how the ranks of a run join into a process group, and leave it."""

import ipaddress
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from kbench import files
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv, check_mpi_world, share_over_mpi
from kbench.errors import LaunchError, WorkloadError

MEET_S = 300.0  # nodes of a large job come up minutes apart
NOTICE_S = 30.0  # after which a wait for others is said
CONNECT_S = 5.0


def device_of(env: RankEnv) -> torch.device:
    """This rank's GPU, or the CPU where there is none.

    Where each task is shown one GPU only (srun --gpus-per-task, --gpu-bind, CUDA_VISIBLE_DEVICES), it is that one;
    ``check_allocation`` finds two ranks that were shown the same.  Raises WorkloadError when a node has several GPUs,
    but fewer than ranks.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    n_devices = torch.cuda.device_count()
    if n_devices > 1 and env.local_rank >= n_devices:
        raise WorkloadError(
            f"rank {env.rank} is number {env.local_rank} on its node, and is shown {n_devices} GPUs",
            hint="start at most one rank per GPU: lower ranks_per_node, or look at --gpu-bind, --gpus-per-task and "
            "CUDA_VISIBLE_DEVICES, which may hide some",
        )
    device = torch.device("cuda", env.local_rank if n_devices > 1 else 0)
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
            by_file = env.meeting and folder is not None
            store = _meet_by_file(env, folder, interface) if by_file and folder else _meet(env, interface)
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
        store = _open_store(env)
        files.write_json(path, {"host": socket.gethostname(), "addresses": addresses(interface), "port": store.port})
        _await_others(store, env, path)
        path.unlink(missing_ok=True)
        return store
    meeting = _read_meeting(path, env)
    return _join(env, meeting["host"], meeting["addresses"], meeting["port"])


def _open_store(env: RankEnv) -> "dist.TCPStore":  # type: ignore[name-defined]
    """Rank 0's store, which listens on all interfaces, on a port that the system chose."""
    own: dict[str, bool] = {"is_master": True, "wait_for_workers": False}
    return dist.TCPStore("localhost", 0, env.size, **own)  # type: ignore[attr-defined,arg-type]


def _await_others(store: Any, env: RankEnv, where: object) -> None:
    """Wait until all others have come to rank 0's store, and say so where that takes long.

    The address at which they found this host tells which of its networks they share.
    """
    waited_s = 0.0
    left = [f"met{rank}" for rank in range(1, env.size)]
    while left:
        try:
            store.wait(left, timedelta(seconds=NOTICE_S))
            break
        except (RuntimeError, ValueError):  # torch's DistStoreError is a RuntimeError
            waited_s += NOTICE_S
            left = [key for key in left if not store.check([key])]
            if waited_s >= MEET_S:
                raise
            ranks = ", ".join(key.removeprefix("met") for key in left[:8])
            print(
                f"rank 0 on {env.node} has waited {waited_s:.0f} s for rank(s) {ranks} ({where}), up to {MEET_S:.0f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    found_at = {store.get(f"met{rank}").decode() for rank in range(1, env.size)} - {""}
    if found_at:
        _talk_over(sorted(found_at)[0])


def _join(env: RankEnv, host: str, there: Sequence[str], port: int) -> "dist.TCPStore":  # type: ignore[name-defined]
    """Join rank 0's store at the first of its addresses that can be reached from here."""
    address, mine = "127.0.0.1", ""
    if host != socket.gethostname():
        address, mine = _reachable(there, port, env)
        _talk_over(mine)
    store = dist.TCPStore(address, port, env.size, is_master=False)  # type: ignore[attr-defined]
    store.set(f"met{env.rank}", address if mine else "")
    return store


def _reachable(there: Sequence[str], port: int, env: RankEnv) -> tuple[str, str]:
    """The first address of rank 0 that takes a connection, and the address of this host that it came from."""
    deadline = time.monotonic() + MEET_S
    tried: dict[str, str] = {}
    while time.monotonic() < deadline:
        for address in there:
            try:
                with socket.create_connection((address, port), timeout=CONNECT_S) as connection:
                    return address, str(connection.getsockname()[0])
            except OSError as error:
                tried[address] = error.strerror or str(error)
        time.sleep(1.0)
    attempts = ", ".join(f"{address}: {why}" for address, why in tried.items())
    raise LaunchError(
        f"rank {env.rank} of {env.size} on {env.node} cannot reach rank 0 on port {port} ({attempts})",
        hint="set network_interface in the site file (kbench doctor lists the interfaces of a machine)",
    )


def addresses(interface: str = "") -> list[str]:
    """Where other hosts may reach this one: its address on an interface, or its names and then all of its addresses.

    A name that means the host itself (a loopback address in /etc/hosts) is left out: others would meet themselves.
    """
    if interface:
        return [address_of(interface)]
    import psutil

    names = [name for name in dict.fromkeys((socket.getfqdn(), socket.gethostname())) if not is_loopback(name)]
    every = [one for all_of in psutil.net_if_addrs().values() for one in all_of]
    numbers = [
        one.address
        for family in (socket.AF_INET, socket.AF_INET6)
        for one in every
        if one.family == family and not _is_of_this_host(one.address)
    ]
    return [*names, *dict.fromkeys(numbers)]


def is_loopback(name: str) -> bool:
    """Whether a host's name leads back to the host itself, or nowhere."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(name, None)}
    except OSError:
        return True
    return any(_is_of_this_host(str(address)) for address in found)


def _is_of_this_host(address: str) -> bool:
    number = ipaddress.ip_address(address.partition("%")[0])
    return number.is_loopback or number.is_link_local


def _talk_over(address: str) -> None:
    """Have gloo use the interface that has an address, where the host's name would have it use the loopback one."""
    import psutil

    if "GLOO_SOCKET_IFNAME" in os.environ or not is_loopback(socket.gethostname()):
        return
    try:
        numbers = {info[4][0] for info in socket.getaddrinfo(address, None)}
    except OSError:
        return
    for name, all_of in psutil.net_if_addrs().items():
        if any(one.address.partition("%")[0] in numbers for one in all_of):
            os.environ["GLOO_SOCKET_IFNAME"] = name


def _read_meeting(path: Path, env: RankEnv) -> dict[str, Any]:
    """Read where rank 0 listens; the folder is listed each time, as file systems cache that a file was missing."""
    began = time.monotonic()
    notice_s = NOTICE_S
    while (waited_s := time.monotonic() - began) < MEET_S:
        if path.name in os.listdir(path.parent):
            meeting: dict[str, Any] = files.read_json(path)
            if meeting:
                return meeting
        if waited_s > notice_s:
            text = f"rank {env.rank} on {env.node} has waited {waited_s:.0f} s for rank 0 to write {path}"
            print(f"{text}, up to {MEET_S:.0f} s", file=sys.stderr, flush=True)
            notice_s += NOTICE_S
        time.sleep(0.05)
    raise LaunchError(
        f"rank {env.rank} of {env.size} on {env.node} does not see rank 0 in {path.parent} after {MEET_S:g} s",
        hint="do all nodes share this folder?  kbench logs shows what rank 0 printed",
    )


def address_of(interface: str) -> str:
    """The address of a network interface of this machine, IPv6 where it has no other; LaunchError when it has none."""
    import psutil

    interfaces = psutil.net_if_addrs()
    for family in (socket.AF_INET, socket.AF_INET6):
        for address in interfaces.get(interface, ()):
            is_local = family == socket.AF_INET6 and _is_of_this_host(address.address)
            if address.family == family and not is_local:
                return str(address.address)
    raise LaunchError(
        f"network_interface: {socket.gethostname()} has no address on {interface!r}; it has {', '.join(interfaces)}",
        hint="see network_interface in the site file",
    )


def _meet(env: RankEnv, interface: str) -> "dist.TCPStore":  # type: ignore[name-defined]
    """Open a store on a port that the system chose, and tell the others over MPI."""
    check_mpi_world(env)
    if env.rank == 0:
        store = _open_store(env)
        share_over_mpi((socket.gethostname(), addresses(interface), store.port))
        _await_others(store, env, "over MPI")
        return store
    return _join(env, *share_over_mpi(None))
