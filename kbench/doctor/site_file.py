"""Write a first site file for this machine: what its scheduler, modules, GPUs and networks say of themselves."""

import os
import re
import shutil
import socket
from dataclasses import dataclass

from kbench.config.lookup import find
from kbench.doctor.mpi import interfaces
from kbench.launch.diagnosis import ask
from kbench.launch.schedulers.slurm import PARTITION_FORMAT, Partition, read_partitions

SECONDS = 10.0
WANTED_MODULES = re.compile(
    r"^(cuda|nvhpc|rocm|openmpi|mpich|intel-?mpi|python|anaconda|miniforge|apptainer|singularity)\b", re.IGNORECASE
)
FAST = ("ib", "hsn", "bond", "opa")  # names of interfaces that are made for talking between nodes
QUEUES = {"bsub": "lsf", "qconf": "sge", "qsub": "pbs", "flux": "flux"}  # command -> example site


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a machine says of itself, as far as a site file needs it."""

    host: str
    cores: int
    gpus: tuple[str, ...]  # of this very machine
    partitions: tuple[Partition, ...]  # of Slurm
    modules: tuple[str, ...]  # that may matter
    interfaces: dict[str, str]  # name -> address
    queue: str = ""  # example site of another scheduler that is there


def look_around() -> Machine:
    """Ask this machine: sinfo, nvidia-smi, the module system, its interfaces."""
    sinfo = ask(["sinfo", "-h", "-o", PARTITION_FORMAT], seconds=SECONDS)
    smi = ask(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], seconds=SECONDS)
    # module is a function of login shells; what it lists goes to stderr.
    modules = ask(["bash", "-lc", "module -t avail 2>&1"], seconds=SECONDS)
    listed = [line.strip().removesuffix("(default)") for line in modules.out.splitlines()] if modules.ok else []
    return Machine(
        host=socket.gethostname(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        gpus=tuple(smi.out.split("\n")[:-1]) if smi.ok else (),
        partitions=tuple(read_partitions(sinfo.out)) if sinfo.ok else (),
        modules=tuple(dict.fromkeys(word for word in listed if WANTED_MODULES.match(word))),
        interfaces={name: address for name, address in interfaces().items() if address != "127.0.0.1"},
        queue="" if sinfo.ok else next((site for name, site in QUEUES.items() if shutil.which(name)), ""),
    )


def site_file(machine: Machine) -> str:
    """The text of a site file for a machine, with a comment for each choice that its user has to make."""
    head = (
        f"# Written by kbench init site on {machine.host}; kbench doctor --site examines it, "
        "kbench check shows the job script."
    )
    if machine.partitions:
        lines = _slurm(machine)
    elif machine.queue:
        example = find(machine.queue, "configs/sites", ".yaml", "site").read_text(encoding="utf-8")
        return f"{head}\n{example}{_comments(machine)}"
    else:
        lines = [
            "launcher: auto              # mpirun where it is there and more than one rank is asked for, else local",
            f"ranks_per_node: {max(1, len(machine.gpus)):<12}# {_or_none(machine.gpus)} GPUs, {machine.cores} cores",
        ]
    end = [
        "setup: []                   # shell lines before the ranks start",
        'data_root: ""               # where data sets lie; empty: $KBENCH_DATA',
    ]
    return "\n".join([head, *lines, *_network(machine), *end]) + f"\n{_comments(machine)}"


def _slurm(machine: Machine) -> list[str]:
    """The lines for Slurm: the partition with GPUs that is up, else the default one."""
    up = [one for one in machine.partitions if one.up] or list(machine.partitions)
    best = max(up, key=lambda one: (one.gpus > 0, one.default, one.nodes))
    ranks = max(1, best.gpus)
    memory = max(1, best.memory_mib * 9 // 10 // 1024)
    others = [f"#   {one.name}: {one}" for one in machine.partitions if one is not best]
    limit = best.limit if best.limit_s and re.fullmatch(r"(\d+-)?\d+:\d\d:\d\d", best.limit) else "12:00:00"
    return [
        f'hostnames: ["{machine.host}"]   # taken on these machines without --site; patterns such as "login*"',
        "launcher: slurm",
        f"partition: {best.name}          # {best}",
        *(["# Others are:"] if others else []),
        *others,
        "nodes: 1                    # of a run",
        f"ranks_per_node: {ranks:<12}# one per GPU" if best.gpus else "ranks_per_node: 1           # processes on each",
        f"cpus_per_rank: {max(1, best.cores // ranks):<13}# of the {best.cores} cores of a node",
        *([f"gpus_per_node: {best.gpus:<13}# checked by the ranks before they train"] if best.gpus else []),
        *([f"memory: {memory}G               # of each node"] if best.memory_mib >= 1024 else []),
        f'time_limit: "{limit}"      # of a job; a run that needs longer goes on in another one',
        "signal_s: 600               # so long before the limit a run ends after its epoch; longer than an epoch",
        'account: ""                 # who pays; empty: your default',
        "options: [--exclusive]      # whole nodes, so that others do not disturb the measured times",
    ]


def _network(machine: Machine) -> list[str]:
    fast = next((name for name in machine.interfaces if name.startswith(FAST)), "")
    found = ", ".join(f"{name} {address}" for name, address in machine.interfaces.items()) or "none with an address"
    return [f'network_interface: "{fast}"       # over which the ranks talk; here: {found}']


def _comments(machine: Machine) -> str:
    """What was found and not used."""
    listed = ", ".join(machine.modules[:20])
    return f'# Modules that may matter (setup: ["module load NAME"]): {listed}\n' if listed else ""


def _or_none(names: tuple[str, ...]) -> str:
    return f"{len(names)} ({', '.join(dict.fromkeys(names))})" if names else "no"
