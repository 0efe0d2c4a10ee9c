"""Slurm: sbatch, one squeue for all jobs, scancel; sacct only where there is one."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kbench.config.parse import did_you_mean
from kbench.config.rank_variables import SLURM_SETTINGS
from kbench.config.site import Site
from kbench.errors import LaunchError
from kbench.launch.diagnosis import Finding, ask, missing, ok, ok_unless, warning
from kbench.launch.schedulers.base import (
    SUBMIT_TIMEOUT_S,
    Capabilities,
    JobInfo,
    JobVariables,
    NoAnswer,
    Scheduler,
    Stage,
)
from kbench.records.run_state import FailureKind

JOB_FORMAT = "%i|%T|%S|%r|%j"
STAGES = {
    Stage.WAITING: "PENDING REQUEUED REQUEUE_HOLD REQUEUE_FED CONFIGURING SPECIAL_EXIT RESV_DEL_HOLD",
    Stage.RUNNING: "RUNNING COMPLETING SUSPENDED SIGNALING STAGE_OUT STOPPED RESIZING",
}
IDS_PER_COMMAND = 500
PING_S = 10.0
ARRAY_TASKS = 1000  # of a cluster that does not tell its limit
PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")


TOO_MANY = (
    "your association or QOS limits how many jobs you may have in the queue, and each task of an array counts; submit "
    "fewer (--only, --set 'seeds=[0]', --pairing node), and kbench run again when some have ended"
)


class Slurm(Scheduler):
    """A Slurm cluster, with or without accounting."""

    name = "slurm"
    template = "slurm"
    can = Capabilities(
        arrays=True,
        corresponding_tasks=True,
        submission_test="sbatch --test-only",
        accounting=True,
        excluded_nodes=True,
        job_states=True,
    )
    job_variables = (
        JobVariables(
            scheduler="slurm",
            id="SLURM_JOB_ID",
            nodes="SLURM_JOB_NODELIST",
            array=("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"),
            restarts="SLURM_RESTART_COUNT",
            components="SLURM_HET_SIZE",
            is_running=("squeue", "-h", "-j", "{id}", "-o", "%T"),
            requeue=("scontrol", "requeue", "{id}"),
        ),
    )
    end_kinds = {
        "CANCELLED": FailureKind.CANCELLED,
        "TIMEOUT": FailureKind.TIME_LIMIT,
        "DEADLINE": FailureKind.TIME_LIMIT,
        "PREEMPTED": FailureKind.PREEMPTED,
        "NODE_FAIL": FailureKind.NODE_FAILURE,
        "BOOT_FAIL": FailureKind.NODE_FAILURE,
        "OUT_OF_MEMORY": FailureKind.OUT_OF_MEMORY,
    }
    hints = {
        "assocmaxsubmitjob": TOO_MANY,  # before account: its sentence names "accounting/QOS policy"
        "qosmaxsubmitjob": TOO_MANY,
        "assocgrpsubmitjob": TOO_MANY,
        "qosgrpsubmitjob": TOO_MANY,
        "qosmaxjobs": TOO_MANY,
        "assocmaxjobs": TOO_MANY,
        "job submit limit": TOO_MANY,
        "job array": "the cluster allows smaller arrays than it says (MaxArraySize, MaxArrayTasks); arrays: false in "
        "the site file submits a job for each run",
        "partition": "see partition in the site file; sinfo lists those there are",
        "account": "see account in the site file; sacctmgr show associations user=$USER lists yours",
        "feature": "see options in the site file; sinfo -o %f lists the features that nodes have",
        "gres": "see gpus_per_node in the site file; sinfo -o %G shows what nodes have",
        "qos": "see qos in the site file",
        "node configuration": "no node is like that; see nodes, ranks_per_node, cpus_per_rank, gpus_per_node, memory",
        "node count": "see nodes in the site file; sinfo shows what the partition has",
        "time limit": "see time_limit in the site file; sinfo shows the partition's limit",
        "contact slurm controller": "the controller is down; nothing is lost, try again later",
    }
    hidden_variables = tuple(
        f"{name}_" for name in "SBATCH SLURM SALLOC SRUN SQUEUE SCANCEL SACCT SINFO SCONTROL".split()
    )
    kept_variables = SLURM_SETTINGS

    def submit(self, script: Path, *, keep: Sequence[int] = ()) -> str:
        """Submit a job script, whose header says all; returns the job's id."""
        text = self.run(["sbatch", "--parsable", str(script)], timeout_s=SUBMIT_TIMEOUT_S, keep=keep)
        for pattern in (r"^(\d+)(?:;\S+)?\s*$", r"^Submitted batch job (\d+)"):  # a site's wrapper may add lines, or
            if ids := re.findall(pattern, text, re.MULTILINE):  # take --parsable out
                return str(ids[-1])
        return self.find_submitted(script, text)

    def test(self, script: Path) -> str:
        """What ``sbatch --test-only`` prints about a script; raises LaunchError when it would be refused."""
        command = ["bash", "-c", 'sbatch --test-only "$1" 2>&1', "sbatch", str(script)]
        text = self.run(command, name="sbatch --test-only", timeout_s=SUBMIT_TIMEOUT_S)
        return text.strip().removeprefix("sbatch: ")

    def jobs(self) -> dict[str, JobInfo]:
        """Every job of this user that the controller remembers, finished ones of the last minutes included."""
        return read_jobs(self.run(["squeue", "-h", "-r", "-t", "all", "-u", str(os.getuid()), "-o", JOB_FORMAT]))

    @property
    def answers_by_id(self) -> bool:
        """It does."""
        return True

    def look_up(self, job_id: str) -> dict[str, JobInfo]:
        """Ask squeue for one job by its id, and scontrol where that is empty: only its word is that a job is gone."""
        array = self.array_id(job_id)
        try:
            found = read_jobs(self.run(["squeue", "-h", "-r", "-t", "all", "-j", array, "-o", JOB_FORMAT]))
        except LaunchError:  # of a job that is not there as well
            found = {}
        if job_id in found:
            return found
        try:
            text = self.run(["scontrol", "-o", "show", "job", job_id if found else array])
        except NoAnswer:
            raise
        except LaunchError as error:
            if "invalid job id" in error.message.lower():
                return found
            raise
        records = dict(_records(text))
        if not records:
            raise LaunchError(
                f"scontrol does not tell whether there is a job {job_id}; it prints {text.strip()[:80]!r}"
            )
        return {**found, **records}

    def find(self, token: str) -> str | None:
        """The id of the job whose name has a token in it: by squeue, else by what scontrol knows of all jobs."""
        if found := self.id_by_token(token, self.jobs()):
            return found
        return self.id_by_token(token, dict(_records(self.run(["scontrol", "-o", "show", "job"]))))

    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs, waiting ones too."""
        short = by_array(ids)
        for first in range(0, len(short), IDS_PER_COMMAND):
            self.run(["scancel", *short[first : first + IDS_PER_COMMAND]])

    @classmethod
    def site_problem(cls, site: Site) -> str:
        """Whether the site's options make a heterogeneous job."""
        found = [option for option in site.options if option.split()[0] in ("hetjob", "packjob", ":")]
        return f"trains on nodes of one kind, and the option {found[0]!r} asks for a heterogeneous job" if found else ""

    @classmethod
    def path_problem(cls, path: str) -> str:
        """Slurm loses a backslash, however it is quoted."""
        return super().path_problem(path) or ("a backslash" if "\\" in path else "")

    @classmethod
    def job_name(cls, experiment: str, token: str) -> str:
        """A name in which a user of squeue finds the experiment as well."""
        return f"{experiment}.{token}"

    @classmethod
    def task_id(cls, job_id: str, task: int | str) -> str:
        """The id of a task of an array: ``12_3``."""
        return f"{job_id}_{task}"

    @classmethod
    def array_id(cls, job_id: str) -> str:
        """The id of the array that a task belongs to, or of the job itself."""
        return job_id.partition("_")[0]

    @classmethod
    def node_names(cls, value: str) -> tuple[str, ...]:
        """The nodes in Slurm's short form."""
        return expand_node_list(value)

    def is_there(self) -> bool:
        """Whether there is an sbatch."""
        return shutil.which("sbatch") is not None

    @classmethod
    def is_up(cls) -> bool:
        """Whether there is a Slurm here whose controller answers."""
        if shutil.which("sbatch") is None:
            return False
        try:
            return "UP" in cls().run(["scontrol", "ping"], timeout_s=PING_S)
        except LaunchError:
            return False

    def limit_problem(self, site: Site) -> str:
        """Whether the time limit is beyond the partition's, which sbatch does not refuse."""
        limit_s = self._limit_s(site.partition) if site.time_limit_s else None
        if limit_s and site.time_limit_s and site.time_limit_s > limit_s:
            return f"time_limit: {site.time_limit} is more than the {limit_s} s that the partition allows"
        return ""

    def _limit_s(self, partition: str) -> int | None:
        """The longest time that a job gets in a partition, or in the default one [s]; None: no limit, or not known."""
        where = ["-p", partition] if partition else []
        try:
            text = self.run(["sinfo", "-h", *where, "-o", "%P %l"])
        except LaunchError:
            return None
        rows = [line.split() for line in text.splitlines() if len(line.split()) == 2]
        limits = [seconds_of(limit) for name, limit in rows if partition or name.endswith("*")]
        known = [limit for limit in limits if limit is not None]
        return max(known) if known and len(known) == len(limits) else None

    def ended(self, ids: Sequence[str]) -> dict[str, str]:
        """How jobs ended, as far as the accounting tells; nothing where there is none."""
        if not ids or shutil.which("sacct") is None:
            return {}
        try:
            text = self.run(["sacct", "-n", "-P", "-X", "-j", ",".join(ids[:IDS_PER_COMMAND]), "-o", "JobID,State"])
        except LaunchError:
            return {}
        rows = (line.split("|") for line in text.splitlines() if "|" in line)
        return {row[0]: row[1].split()[0] for row in rows if row[1].strip()}

    def max_array_tasks(self) -> int:
        """How many tasks an array may have."""
        try:
            found = re.search(r"^MaxArraySize\s*=\s*(\d+)", self.run(["scontrol", "show", "config"]), re.MULTILINE)
        except LaunchError:
            return ARRAY_TASKS
        return max(1, int(found[1]) - 1) if found else ARRAY_TASKS

    def failed_nodes(self, names: Sequence[str]) -> list[str]:
        """Those of some nodes that the controller does not trust: down, failing, or not responding."""
        if not names:
            return []
        try:
            text = self.run(["sinfo", "-h", "-N", "-n", ",".join(names), "-o", "%N %T"])
        except LaunchError:
            return []
        rows = [line.split() for line in text.splitlines() if len(line.split()) == 2]
        return sorted({name for name, state in rows if state.startswith(("down", "fail")) or state.endswith("*")})

    @classmethod
    def diagnose(cls, site: Site, *, needed: bool) -> Iterator[Finding]:
        """Look for the commands, the controller, the partitions and the settings that matter to runs."""
        absent = [name for name in PROGRAMS if shutil.which(name) is None]
        if absent:
            found = "no sbatch" if "sbatch" in absent else f"without {', '.join(absent)}"
            yield missing(cls.name, found, "log in to the cluster's login node, or load its module", needed=needed)
            return
        ping = ask(["scontrol", "ping"], seconds=PING_S)
        if not ping.ok or "UP" not in ping.out:
            found = f"its controller does not answer ({ping.first_line or ping.why})"
            yield missing(cls.name, found, "try again later, or ask the administrator", needed=needed)
            return
        pairs = (line.partition("=") for line in ask(["scontrol", "show", "config"], seconds=PING_S).out.splitlines())
        config = {key.strip(): value.strip() for key, equals, value in pairs if equals}
        version, cluster = config.get("SLURM_VERSION", "unknown version"), config.get("ClusterName", "unnamed")
        yield ok(cls.name, f"{version}, cluster {cluster}, its controller answers")
        answer = ask(["sinfo", "-h", "-o", PARTITION_FORMAT], seconds=PING_S)
        if answer.ok:
            yield from compare_partitions(read_partitions(answer.out), site, needed=needed)
        else:
            yield warning("partitions", answer.why, "kbench cannot check what the site asks for")
        yield from explain_settings(config, site)


def seconds_of(limit: str) -> int | None:
    """What sinfo's ``1-12:00:00``, ``2:00:00`` or ``30:00`` mean [s]; None for infinite."""
    days, _, rest = limit.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in [*parts, days or "0"]) or len(parts) not in (2, 3):
        return None
    hours, minutes, seconds = ["0", *parts][-3:]
    return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)


def by_array(ids: Sequence[str]) -> list[str]:
    """Job ids with the tasks of an array in one word (``12_[0,3]``): a request each would swamp the controller."""
    tasks: dict[str, list[str]] = {}
    for job, _, task in (one.partition("_") for one in ids):
        tasks.setdefault(job, []).extend([task] if task else [])
    return [f"{job}_[{','.join(numbers)}]" if numbers else job for job, numbers in tasks.items()]


def read_jobs(text: str) -> dict[str, JobInfo]:
    """Read what squeue printed in ``JOB_FORMAT``; lines of a wrapper, and those that were cut, are no jobs."""
    rows = (line.split("|", 4) for line in text.splitlines())
    return {row[0]: _job_info(*row[1:]) for row in rows if len(row) == 5 and re.fullmatch(r"\d+(_\d+)?", row[0])}


def _job_info(state: str, starts_at: str, reason: str, name: str) -> JobInfo:
    stage = next((stage for stage, states in STAGES.items() if state in states.split()), Stage.OVER)
    why = reason if stage is Stage.WAITING else state
    return JobInfo(stage, name, "" if why == "None" else why, "" if starts_at == "N/A" else starts_at)


def _records(text: str) -> Iterator[tuple[str, JobInfo]]:
    """Read what ``scontrol -o show job`` printed: a line for each job, or for the waiting tasks of an array."""
    for line in text.splitlines():
        facts = dict(re.findall(r"(?:^|\s)(JobId|ArrayJobId|ArrayTaskId|JobState|Reason)=(\S+)", line))
        name = re.search(r"\sJobName=(.*?)(?=\s+\w+=|$)", line)
        if not (name and facts.keys() >= {"JobId", "JobState"}):
            continue
        info = _job_info(facts["JobState"], "N/A", facts.get("Reason", "None"), name[1])
        tasks = facts.get("ArrayTaskId", "").partition("%")[0]
        array = facts.get("ArrayJobId", facts["JobId"])
        yield from ((f"{array}_{n}", info) for span in tasks.split(",") for n in _numbers(span) if tasks)
        if not tasks:
            yield str(array), info


def expand_node_list(nodes: str) -> tuple[str, ...]:
    """The nodes that Slurm's short form means: ``n[1-3,7],m2`` is n1, n2, n3, n7, m2.

    ``scontrol show hostnames`` does the same, but a job must know its nodes where that is missing or broken.
    """
    found: list[str] = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", nodes):
        names = [""]
        for text, ranges in re.findall(r"([^\[]*)(?:\[([^\]]*)\])?", part):
            numbers = [n for span in ranges.split(",") for n in _numbers(span)] if ranges else [""]
            names = [name + text + number for name in names for number in numbers]
        found += names
    return tuple(found)


def _numbers(span: str) -> list[str]:
    first, _, last = span.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        return [span]
    return [str(n).zfill(len(first)) for n in range(int(first), int(last or first) + 1)]


# -- what kbench doctor reads ---------------------------------------------------------------------------------------

PARTITION_FORMAT = "%R|%P|%a|%l|%D|%c|%m|%G|%h|%M"
MIB = {"M": 1, "G": 2**10, "T": 2**20}
SHOWN_PARTITIONS = 8  # of those to which a site's jobs do not go


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One partition; of unlike nodes, the best of each kind counts."""

    name: str
    default: bool
    up: bool
    limit: str  # as Slurm writes it
    nodes: int
    cores: int  # of a node
    memory_mib: int  # of a node
    gpus: int  # of a node
    gpu_kinds: tuple[str, ...]
    shared: str  # OverSubscribe
    preemption: str

    def __str__(self) -> str:
        gpus = f", {self.gpus} GPUs ({', '.join(self.gpu_kinds) or 'of no named kind'})" if self.gpus else ""
        memory = f"{self.memory_mib / 1024:.0f} GiB"
        return f"{self.nodes} nodes of {self.cores} cores, {memory}{gpus}; up to {self.limit}"

    @property
    def limit_s(self) -> int | None:
        """The time limit [s]; None without one."""
        return seconds_of(self.limit)

    def complaints(self, site: Site) -> Iterator[str]:
        """What a site asks for and a partition does not have."""
        if not self.up:
            yield "it is not up"
        if self.limit_s is not None and (site.time_limit_s or 0) > self.limit_s:
            yield f"the site asks for {site.time_limit}"
        wanted_mib = int(site.memory[:-1]) * MIB[site.memory[-1]] if site.memory else 0
        requested = (
            (site.nodes, self.nodes, "nodes"),
            (site.gpus_per_node, self.gpus, "GPUs per node"),
            (site.ranks_per_node * (site.cpus_per_rank or 1), self.cores, "cores per node"),
            (wanted_mib, self.memory_mib, "MiB of memory per node"),
        )
        yield from (f"the site asks for {wanted} {what}" for wanted, there, what in requested if wanted > there)

    def timing_risks(self) -> Iterator[str]:
        """What makes measured times untrustworthy there."""
        if self.shared.split(":")[0] in ("FORCE", "YES"):
            yield f"OverSubscribe={self.shared}: cores may be shared with other jobs"
        if any(mode in self.preemption for mode in ("SUSPEND", "GANG")):
            yield f"PreemptMode={self.preemption}: a job that is stopped in place goes on paying time"


def read_partitions(text: str) -> list[Partition]:
    """Read what ``sinfo -h -o PARTITION_FORMAT`` printed: a line for each kind of node in each partition."""
    rows: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == PARTITION_FORMAT.count("|") + 1:
            rows.setdefault(cells[0], []).append(cells)
    return [_partition(name, lines) for name, lines in rows.items()]


def _partition(name: str, rows: list[list[str]]) -> Partition:
    gpus = [gpu for row in rows for gpu in re.findall(r"gpu(?::([^:,()]+))?:(\d+)", row[7])]
    return Partition(
        name=name,
        default=rows[0][1].endswith("*"),
        up=rows[0][2] == "up",
        limit=rows[0][3],
        nodes=sum(_number(row[4]) for row in rows),
        cores=max(_number(row[5]) for row in rows),
        memory_mib=max(_number(row[6]) for row in rows),
        gpus=max((int(n) for _, n in gpus), default=0),
        gpu_kinds=tuple(dict.fromkeys(kind for kind, _ in gpus if kind)),
        shared=rows[0][8],
        preemption=rows[0][9],
    )


def _number(cell: str) -> int:
    found = re.match(r"\d+", cell)  # 128+ stands for at least 128
    return int(found[0]) if found else 0


def compare_partitions(partitions: list[Partition], site: Site, *, needed: bool) -> Iterator[Finding]:
    """Hold the partition that a site's jobs go to against the site; show the others where none is named."""
    wanted = site.partition.split(",") if site.partition else [p.name for p in partitions if p.default]
    names = [partition.name for partition in partitions]
    for name in wanted:
        if name not in names:
            remedy = "change partition: in the site file; sinfo lists what is there"
            yield missing(f"partition {name}", f"not there{did_you_mean(name, names)}", remedy, needed=needed)
    chosen = [partition for partition in partitions if partition.name in wanted]
    others = [] if site.partition else [partition for partition in partitions if partition not in chosen]
    for partition in chosen:
        yield _compare_partition(partition, site, needed=needed)
    for partition in others[:SHOWN_PARTITIONS]:
        yield ok(f"partition {partition.name}", str(partition))
    if not wanted:
        remedy = "give partition: in the site file, no partition is the default here"
        yield warning("partitions", f"{len(partitions)} of them, none the default", remedy)
    if len(others) > SHOWN_PARTITIONS:
        yield ok("partitions", f"{len(others) - SHOWN_PARTITIONS} more; sinfo lists them")


def _compare_partition(partition: Partition, site: Site, *, needed: bool) -> Finding:
    name, found = f"partition {partition.name}", str(partition)
    complaints, risks = list(partition.complaints(site)), list(partition.timing_risks())
    if risks and not complaints:
        return warning(name, "; ".join([found, *risks]), "ask for whole nodes: options: [--exclusive]")
    return ok_unless(complaints, name, found, "change the site file, or take another partition", needed=needed)


def explain_settings(config: Mapping[str, str], site: Site) -> Iterator[Finding]:
    """What the settings of the cluster (``scontrol show config``) mean for runs."""
    yield _accounting(config)
    yield _requeue(config)
    size = config.get("MaxArraySize", "")
    if size.isdigit() and int(size) > 1:
        yield ok("job arrays", f"task numbers below {size}, at most {config.get('MaxJobCount', '?')} jobs in all")
    elif site.arrays:
        yield warning("job arrays", f"off (MaxArraySize {size or 'unknown'})", "arrays: false in the site file")


def _accounting(config: Mapping[str, str]) -> Finding:
    kind = config.get("AccountingStorageType", "unknown")
    if kind.endswith("/none"):
        age = config.get("MinJobAge", "a while")
        return ok("accounting", f"off: Slurm forgets a job {age} after its end; kbench goes by what the runs wrote")
    return ok("accounting", f"on ({kind}); kbench does not depend on it")


def _requeue(config: Mapping[str, str]) -> Finding:
    default = "by default" if config.get("JobRequeue") == "1" else "when the job asks for it"
    found = f"jobs of failed nodes go back into the queue {default}"
    kind, mode = config.get("PreemptType", ""), config.get("PreemptMode", "OFF")
    if kind.endswith("/none") or mode == "OFF":
        return ok("requeue", f"{found}; nothing is preempted")
    if "REQUEUE" in mode:
        return ok("requeue", f"{found}; preempted jobs too ({mode})")
    remedy = "kbench run again submits what is missing" if "CANCEL" in mode else "measured times may hold a long stop"
    return warning("requeue", f"{found}; preempted jobs do not (PreemptMode {mode})", remedy)
