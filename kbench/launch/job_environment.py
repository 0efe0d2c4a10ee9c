"""What a job knows of itself: read from what its scheduler set; nobody else reads these variables."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How jobs of one scheduler know themselves."""

    id: str  # variable that holds the job's id
    nodes: str  # variable that holds its nodes, or a file that lists them
    alive: tuple[str, ...] = ()  # command that prints RUNNING while nobody has ended the job
    requeue: tuple[str, ...] = ()  # command that puts the job back into the queue
    requeue_status: int | None = None  # or the exit status that does


KINDS = {  # in this order: Slurm's torque wrappers set PBS variables as well
    "slurm": Kind(
        id="SLURM_JOB_ID",
        nodes="SLURM_JOB_NODELIST",
        alive=("squeue", "-h", "-j", "{id}", "-o", "%T"),
        requeue=("scontrol", "requeue", "{id}"),
    ),
    "pbs": Kind(id="PBS_JOBID", nodes="PBS_NODEFILE", requeue=("qrerun", "{id}")),
    "sge": Kind(id="JOB_ID", nodes="PE_HOSTFILE", requeue_status=99),
}


@dataclass(frozen=True, kw_only=True)
class JobEnvironment:
    """The job that this process is part of."""

    scheduler: str  # "none" outside of any job that we know
    id: str
    nodes: tuple[str, ...]
    restarts: int  # how often its scheduler has started it again

    def requeue(self) -> int | None:
        """Ask for another turn; the status to exit with, or None where there is none to be had."""
        kind = KINDS.get(self.scheduler)
        if kind is None:
            return None
        if kind.requeue_status is not None:
            return kind.requeue_status
        if kind.alive and self._said(kind.alive).strip() != "RUNNING":
            return None  # Slurm would bring back what somebody has cancelled
        return None if self._said(kind.requeue) == FAILED else 0

    def _said(self, command: tuple[str, ...]) -> str:
        """What a command of the scheduler prints."""
        words = [word.format(id=self.id) for word in command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return FAILED
        return FAILED if done.returncode else done.stdout


def inside(environ: Mapping[str, str] = os.environ) -> JobEnvironment:
    """Read which job this process is part of."""
    for name, kind in KINDS.items():
        if kind.id in environ and kind.nodes in environ:
            job = environ[kind.id]
            if name == "slurm" and "SLURM_ARRAY_JOB_ID" in environ:
                job = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
            restarts = int(environ.get("SLURM_RESTART_COUNT", environ.get("RESTARTED", "0")) or 0)
            return JobEnvironment(scheduler=name, id=job, nodes=_nodes(name, environ[kind.nodes]), restarts=restarts)
    return JobEnvironment(scheduler="none", id="", nodes=(), restarts=0)


def _nodes(scheduler: str, told: str) -> tuple[str, ...]:
    """The names of a job's nodes, each once."""
    if scheduler == "slurm":
        return expanded(told)
    try:
        lines = Path(told).read_text().splitlines()
    except OSError:
        return ()
    return tuple(dict.fromkeys(line.split()[0] for line in lines if line.strip()))


def expanded(nodes: str) -> tuple[str, ...]:
    """The nodes that Slurm's short form means: ``n[1-3,7],m2`` is n1, n2, n3, n7, m2."""
    found: list[str] = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", nodes):
        names = [""]
        for text, ranges in re.findall(r"([^\[]*)(?:\[([^\]]*)\])?", part):
            inner = [n for span in ranges.split(",") for n in _span(span)] if ranges else [""]
            names = [name + text + number for name in names for number in inner]
        found += names
    return tuple(found)


def _span(span: str) -> list[str]:
    first, _, last = span.partition("-")
    return [str(n).zfill(len(first)) for n in range(int(first), int(last or first) + 1)]
