"""What kbench asks of a scheduler: to take a script, to list its jobs in one call, to end some."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from kbench.errors import LaunchError

PATIENCE_S = 30.0
LEAKING = ("SBATCH_", "SLURM_", "SALLOC_", "SRUN_")  # settings of the user's shell that would reach our jobs
NEEDED = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")


class NoAnswer(LaunchError):
    """A scheduler did not answer in time; what it was asked may be done all the same."""


class Stage(StrEnum):
    """Where a job is, for a scheduler."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


class Seen(NamedTuple):
    """What a scheduler tells of a job."""

    stage: Stage
    name: str
    reason: str = ""  # why it waits, or how it ended
    starts_at: str = ""  # when it is expected to start, in the scheduler's words and time zone


class Scheduler(Protocol):
    """A queue of jobs on a cluster."""

    def submit(self, script: Path, *, keep: Sequence[int] = ()) -> str:
        """Hand in a job script; returns the job's id.

        ``keep`` are file descriptors that the command inherits.  Raises LaunchError when it is refused.
        """

    def jobs(self) -> dict[str, Seen]:
        """Every job of this user by its id (``12``, or ``12_3`` in an array); one call."""

    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs, waiting ones too; raises LaunchError when the scheduler does not listen."""


def clean(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment without what would change our jobs behind the site file's back."""
    return {k: v for k, v in environ.items() if k in NEEDED or not k.startswith(LEAKING)}


def ask(words: Sequence[str], *, name: str = "", patience_s: float = PATIENCE_S, keep: Sequence[int] = ()) -> str:
    """What a scheduler's command prints; raises LaunchError with its own words when it fails.

    ``name`` is what errors call the command, where its first word says little.
    """
    name = name or words[0]
    try:
        done = subprocess.run(
            list(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
            env=clean(),
            pass_fds=tuple(keep),
        )
    except FileNotFoundError as error:
        raise LaunchError(
            f"{name!r} is not there", hint="is this a login node of the cluster? kbench doctor shows what there is"
        ) from error
    except PermissionError as error:
        raise LaunchError(f"{name!r} cannot be executed", hint="see the site file") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(
            f"{name} does not answer within {patience_s:g} s",
            hint="the scheduler is busy or down; nothing is lost, try again later",
        ) from error
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        why = "; ".join(dict.fromkeys(re.sub(r"^\w+: error: ", "", line) for line in said[-2:])) or "no word"
        failure = NoAnswer if "timed out" in why.lower() else LaunchError
        raise failure(f"{name} fails with status {done.returncode}: {why}", hint=_hint(why))
    return done.stdout


def _hint(why: str) -> str:
    for words, hint in HINTS.items():
        if words in why.lower():
            return hint
    return ""


HINTS = {  # words of Slurm's refusals, in small letters
    "partition": "see partition in the site file; sinfo lists those there are",
    "account": "see account in the site file; sacctmgr show associations user=$USER lists yours",
    "feature": "see options in the site file; sinfo -o %f lists the features that nodes have",
    "gres": "see gpus_per_node in the site file; sinfo -o %G shows what nodes have",
    "qos": "see qos in the site file",
    "node configuration": "no node is like that; see nodes, ranks_per_node, cpus_per_rank, gpus_per_node, memory",
    "node count": "see nodes in the site file; sinfo shows what the partition has",
    "time limit": "see time_limit in the site file; sinfo shows the partition's limit",
    "contact slurm controller": "the controller is down; nothing is lost, try again later",
    "unable to contact": "the scheduler is down; nothing is lost, try again later",
}
