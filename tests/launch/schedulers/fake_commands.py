"""The commands of Slurm and of Grid Engine over a played cluster, for tests that need no daemon.

Installed under the names of the commands, it is all of them; PLAYED_CLUSTER names the file of the jobs.
"""

import os
import re
import sys
from pathlib import Path

from played_scheduler import PlayedCluster

SLURM = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "srun")
GRID_ENGINE = ("qsub", "qstat", "qdel")
SLURM_STATES = {"waiting": "PENDING", "running": "RUNNING"}


def install(folder: Path, names: tuple[str, ...]) -> None:
    """Put the commands into a folder."""
    folder.mkdir(exist_ok=True)
    for name in names:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        path.chmod(0o755)


def option(text: str, directive: str, default: str = "") -> str:
    """The value of a directive in a script."""
    found = re.search(rf"^{directive}[ =]?(\S+)", text, re.MULTILINE)
    return found[1] if found else default


def sbatch(cluster: PlayedCluster, *arguments: str) -> None:
    text, number = Path(arguments[-1]).read_text(), str(cluster.number())
    if int(option(text, "#SBATCH --nodes")) > 4:
        sys.exit("sbatch: error: Batch job submission failed: Requested node configuration is not available")
    if "--test-only" in arguments:
        print("sbatch: Job 1 to start at 2026-01-01T00:00:00", file=sys.stderr)
        return
    tasks = option(text, "#SBATCH --array").partition("%")[0]
    ids = {task: f"{number}_{task}" for task in tasks.split(",")} if tasks else {"": number}
    kind, _, prerequisites = option(text, "#SBATCH --dependency").partition(":")
    named = [one for one in prerequisites.split(":") if one]
    after = {
        task: [f"{one}_{task}" if kind == "aftercorr" and "_" not in one else one for one in named] for task in ids
    }
    cluster.add(arguments[-1], option(text, "#SBATCH --job-name"), ids=ids, after=after)
    print(number)


def squeue(cluster: PlayedCluster, *arguments: str) -> None:
    if "-j" in arguments:
        job = arguments[arguments.index("-j") + 1]
        print(next(SLURM_STATES.get(one.stage, "COMPLETED") for one in cluster.read() if one.id == job))
        return
    for job in cluster.read():
        print(job.id, SLURM_STATES.get(job.stage, job.reason), "N/A", "None", job.name, sep="|")


def scancel(cluster: PlayedCluster, *arguments: str) -> None:
    for one in arguments:
        array, _, tasks = one.partition("_[")
        cluster.end([f"{array}_{task}" for task in tasks.rstrip("]").split(",")] if tasks else [one], "CANCELLED")


def scontrol(cluster: PlayedCluster, *arguments: str) -> None:
    if arguments[0] == "requeue":
        job = next(one for one in cluster.read() if one.id == arguments[1])
        cluster.change(job.id, stage="waiting", restarts=job.restarts + 1)
        os.killpg(os.getpgid(os.getppid()), 9)  # as Slurm ends what it starts again
    print("Slurmctld(primary) at head is UP" if arguments[0] == "ping" else "MaxArraySize = 4")


def srun(cluster: PlayedCluster, *arguments: str) -> None:
    command = [word for word in arguments if not word.startswith("--")]
    os.execvp(command[0], command)


def qsub(cluster: PlayedCluster, *arguments: str) -> None:
    text, number = Path(arguments[-1]).read_text(), str(cluster.number())
    after = [one for one in option(text, r"#\$ -hold_jid").split(",") if one]
    cluster.add(arguments[-1], option(text, r"#\$ -N"), ids={"": number}, after={"": after})
    print(number)


def qstat(cluster: PlayedCluster, *arguments: str) -> None:
    for job in cluster.read():
        if job.stage != "over":
            print(f"{job.id:>7} 0.5 {job.name[:10]} root {'qw' if job.stage == 'waiting' else 'r'}")


def qdel(cluster: PlayedCluster, *arguments: str) -> None:
    cluster.end(arguments, "deleted")


def nothing(cluster: PlayedCluster, *arguments: str) -> None:
    """A command that has nothing to tell."""


if __name__ == "__main__":
    command = globals().get(sys.argv[1], nothing)
    command(PlayedCluster(Path(os.environ["PLAYED_CLUSTER"])), *sys.argv[2:])
