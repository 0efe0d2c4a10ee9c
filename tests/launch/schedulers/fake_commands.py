"""A played cluster, and the commands of Slurm, Grid Engine and a third scheduler over it: no daemon is needed.

The jobs lie in one file, which PLAYED_CLUSTER names to the commands.  Nothing of kbench is imported,
so that a command answers at once.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

SLURM = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "srun")
GRID_ENGINE = ("qsub", "qstat", "qdel")
LSF = ("bsub", "bjobs", "bkill", "brequeue")
FLUX = ("flux",)
THIRD = ("psub", "plist", "pdel")
SLURM_STATES = {"waiting": "PENDING", "running": "RUNNING"}


@dataclass
class PlayedJob:
    """A task, or a job without any, of a played cluster."""

    id: str
    script: str
    name: str
    task: str = ""  # its number in an array
    after: list[str] = field(default_factory=list)  # ids of those that must be over before
    stage: str = "waiting"
    reason: str = ""
    restarts: int = 0


class PlayedCluster:
    """The jobs of a cluster that runs one when it is told to; tests and commands see them in one file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[PlayedJob]:
        """All jobs, in the order of their submission."""
        return [PlayedJob(**job) for job in json.loads(self.file.read_text())] if self.file.exists() else []

    def write(self, jobs: Sequence[PlayedJob]) -> None:
        """Replace all jobs."""
        self.file.write_text(json.dumps([asdict(job) for job in jobs]))

    def change(self, job_id: str, **changes: object) -> None:
        """Change one job."""
        self.write([PlayedJob(**{**asdict(job), **(changes if job.id == job_id else {})}) for job in self.read()])

    def add(self, script: str, name: str, *, ids: Mapping[str, str], after: Mapping[str, Sequence[str]]) -> None:
        """Put the tasks of a script into the queue: their ids, and what each is to come after."""
        new = [PlayedJob(job, script, name, task, list(after[task])) for task, job in ids.items()]
        self.write([*self.read(), *new])

    def number(self) -> int:
        """The number of the next script."""
        return 1 + len({job.script for job in self.read()})

    def ready(self) -> list[PlayedJob]:
        """The waiting jobs that may start."""
        left = {job.id for job in self.read() if job.stage != "over"}
        return [job for job in self.read() if job.stage == "waiting" and not left & set(job.after)]

    @property
    def wrong(self) -> Path:
        """Holds a word for each coming answer of a list: right, empty, cut, extra, recycled, late."""
        return self.file.with_name("wrong")

    def spoil(self, *answers: str) -> None:
        """Have the coming lists be wrong in some ways."""
        self.wrong.write_text(" ".join(answers))

    def end(self, ids: Sequence[str], reason: str) -> None:
        """End jobs that have not ended."""
        for job in self.read():
            if job.id in ids and job.stage != "over":
                self.change(job.id, stage="over", reason=reason)

    def run(self, job: PlayedJob, variables: Mapping[str, str], *, requeue_status: int | None = None) -> int:
        """Run a job to its end on a node, where its variables are; returns the status of its script."""
        self.change(job.id, stage="running")
        done = subprocess.run(
            ["bash", job.script], env={**os.environ, **variables}, start_new_session=True, timeout=120
        )
        now = next(one for one in self.read() if one.id == job.id)
        if done.returncode == requeue_status:
            self.change(job.id, stage="waiting", reason="requeued", restarts=job.restarts + 1)
        elif now.stage == "running":  # else a command has changed it meanwhile
            self.change(job.id, stage="over", reason="done" if done.returncode == 0 else "failed")
        return done.returncode


def install(folder: Path, names: tuple[str, ...]) -> None:
    """Put the commands into a folder."""
    folder.mkdir(exist_ok=True)
    for name in names:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {name} "$@"\n')
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
    kind, _, prerequisites = option(text, "#SBATCH --dependency").partition(",")[0].partition(":")
    named = [one for one in prerequisites.split(":") if one]
    every = {job.id for job in cluster.read()}
    after = {task: [one for name in named for one in _jobs_of(name, task, kind, every)] for task in ids}
    cluster.add(arguments[-1], option(text, "#SBATCH --job-name"), ids=ids, after=after)
    print(number)


def show(cluster: PlayedCluster, lines: Sequence[str]) -> None:
    """Print a list, or what comes of it where the next answer is to be wrong."""
    words = cluster.wrong.read_text().split() if cluster.wrong.exists() else []
    if words:
        cluster.wrong.write_text(" ".join(words[1:]))
    text = "".join(f"{line}\n" for line in lines)
    match words[0] if words else "right":
        case "empty":
            text = ""
        case "cut":
            text = text[: len(text) // 2]
        case "extra":
            text = f"warning: the maintenance of rack 7 begins at 18:00 | see the page\n\n{text}| 0 |\n"
        case "recycled":
            text = re.sub(r"(small\.)?kb[0-9a-f]{8}", "their-work", text)
        case "late":
            sys.exit("slurm_load_jobs error: Socket timed out on send/recv operation")
    print(text, end="")


def _jobs_of(name: str, task: str, kind: str, every: set[str]) -> list[str]:
    """The ids that a dependency means: a job's, or all tasks' of an array, or its task of the same number."""
    if kind == "aftercorr" and "_" not in name:
        return [f"{name}_{task}"]
    return sorted(one for one in every if one == name or one.partition("_")[0] == name) or [name]


def squeue(cluster: PlayedCluster, *arguments: str) -> None:
    jobs = cluster.read()
    if "-j" in arguments:
        wanted = arguments[arguments.index("-j") + 1]
        jobs = [one for one in jobs if wanted in (one.id, one.id.partition("_")[0])]
        if not jobs:
            sys.exit("slurm_load_jobs error: Invalid job id specified")
    if arguments[-1] == "%T":
        print(SLURM_STATES.get(jobs[0].stage, "COMPLETED"))
        return
    rows = [(job.id, SLURM_STATES.get(job.stage, job.reason), "N/A", "None", job.name) for job in jobs]
    show(cluster, ["|".join(row) for row in rows])


def scancel(cluster: PlayedCluster, *arguments: str) -> None:
    for one in arguments:
        array, _, tasks = one.partition("_[")
        cluster.end([f"{array}_{task}" for task in tasks.rstrip("]").split(",")] if tasks else [one], "CANCELLED")


def scontrol(cluster: PlayedCluster, *arguments: str) -> None:
    if arguments[0] == "requeue":
        job = next(one for one in cluster.read() if one.id == arguments[1])
        cluster.change(job.id, stage="waiting", restarts=job.restarts + 1)
        os.killpg(os.getpgid(os.getppid()), 9)  # as Slurm ends what it starts again
    if arguments[:3] == ("-o", "show", "job"):
        wanted = arguments[3:]
        jobs = [one for one in cluster.read() if not wanted or wanted[0] in (one.id, one.id.partition("_")[0])]
        if wanted and not jobs:
            sys.exit("slurm_load_jobs error: Invalid job id specified")
        for one in jobs:
            array, _, task = one.id.partition("_")
            numbers = f"ArrayJobId={array} ArrayTaskId={task} " * bool(task)
            state = SLURM_STATES.get(one.stage, one.reason or "COMPLETED")
            print(f"JobId={array} {numbers}JobName={one.name} UserId=root(0) JobState={state} Reason=None")
        return
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
    jobs = [job for job in cluster.read() if job.stage != "over"]
    if arguments[:1] == ("-j",):
        named = [job for job in jobs if job.id == arguments[1]]
        if not named:
            sys.exit(f"Following jobs do not exist: {arguments[1]}")
        print(f"job_number: {named[0].id}\njob_name: {named[0].name}")
        return
    show(cluster, [f"{job.id:>7} 0.5 {job.name[:10]} root {'qw' if job.stage == 'waiting' else 'r'}" for job in jobs])


def qdel(cluster: PlayedCluster, *arguments: str) -> None:
    cluster.end(arguments, "deleted")


def bsub(cluster: PlayedCluster, *arguments: str) -> None:
    # As the manual has it: directives are read from the standard input only, which is the script's file.
    text, number = sys.stdin.read(), str(cluster.number())
    script = os.readlink("/proc/self/fd/0")
    after = re.findall(r"ended\((\d+)\)", text)
    cluster.add(script, option(text, "#BSUB -J"), ids={"": number}, after={"": after})
    print(f"Job <{number}> is submitted to default queue <normal>.")


def bjobs(cluster: PlayedCluster, *arguments: str) -> None:
    named = [one for one in arguments if one.isdecimal()]
    every = [job for job in cluster.read() if (job.id in named if named else job.stage != "over")]
    if not every:
        sys.exit(f"Job <{named[0]}> is not found" if named else "No unfinished job found")
    states = {"waiting": "PEND", "running": "RUN"}
    show(cluster, [f"{job.id} {job.name} {states.get(job.stage, 'EXIT')}" for job in every])


def bkill(cluster: PlayedCluster, *arguments: str) -> None:
    cluster.end(arguments, "killed")


def brequeue(cluster: PlayedCluster, *arguments: str) -> None:
    scontrol(cluster, "requeue", *arguments)


def flux(cluster: PlayedCluster, command: str, *arguments: str) -> None:
    match command:
        case "batch":
            text, number = Path(arguments[-1]).read_text(), str(cluster.number())
            after = re.findall(r"^#flux: --dependency=afterany:(\d+)", text, re.MULTILINE)
            cluster.add(arguments[-1], option(text, "#flux: --job-name"), ids={"": number}, after={"": after})
            print(f"f{number}")
        case "job":  # id --to=dec
            print(arguments[-1].lstrip("f"))
        case "jobs":
            named = [one for one in arguments if one.isdecimal()]
            every = [job for job in cluster.read() if (job.id in named if named else job.stage != "over")]
            if named and not every:
                sys.exit(f"flux-jobs: ERROR: {named[0]}: unknown job id")
            states = {"waiting": "SCHED", "running": "RUN"}
            show(cluster, [f"{job.id} {job.name} {states.get(job.stage, 'CANCELED')}" for job in every])
        case "cancel":
            cluster.end(arguments, "canceled")
        case "getattr":
            print(f"f{os.environ['FLUX_PLAYED_ID']}")
        case "exec":
            print("n1\nn2")
        case "run":
            srun(cluster, *arguments)


def psub(cluster: PlayedCluster, *arguments: str) -> None:
    text, number = Path(arguments[-1]).read_text(), str(cluster.number())
    given = dict(re.findall(r"(\w+)=(\S*)", " ".join(re.findall(r"^#PLAYED (.*)", text, re.MULTILINE))))
    if int(given["nodes"]) > 4:
        sys.exit("psub: this cluster has 4 nodes")
    if "--test" in arguments:
        print("would start at once")
        return
    ids = {task: f"{number}[{task}]" for task in given["tasks"].split(",")}
    after = [one for one in given["after"].split("+") if one]
    cluster.add(arguments[-1], given["name"], ids=ids, after=dict.fromkeys(ids, after))
    print(number)


def plist(cluster: PlayedCluster, *arguments: str) -> None:
    show(cluster, ["|".join((job.id, job.stage, job.name, job.reason)) for job in cluster.read()])


def pdel(cluster: PlayedCluster, *arguments: str) -> None:
    cluster.end(arguments, "killed")


def nothing(cluster: PlayedCluster, *arguments: str) -> None:
    """A command that has nothing to tell."""


if __name__ == "__main__":
    command = globals().get(sys.argv[1], nothing)
    command(PlayedCluster(Path(os.environ["PLAYED_CLUSTER"])), *sys.argv[2:])
