"""Whether a Slurm is there, and what it allows."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kbench.config.parse import did_you_mean
from kbench.config.site import Site
from kbench.doctor.need import Item, Need, ask, judged, missing, ok, warning

FORMAT = "%R|%P|%a|%l|%D|%c|%m|%G|%h|%M"
ENDLESS = ("infinite", "n/a", "UNLIMITED")
MIB = {"M": 1, "G": 2**10, "T": 2**20}


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
        if self.limit in ENDLESS:
            return None
        days, _, clock = self.limit.rpartition("-")
        parts = [int(part) for part in clock.split(":")]
        hours, minutes, seconds = [0] * (3 - len(parts)) + parts
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds

    def complaints(self, site: Site) -> Iterator[str]:
        """What a site asks for and a partition does not have."""
        if not self.up:
            yield "it is not up"
        if self.limit_s is not None and (site.time_limit_s or 0) > self.limit_s:
            yield f"the site asks for {site.time_limit}"
        wanted_mib = int(site.memory[:-1]) * MIB[site.memory[-1]] if site.memory else 0
        asked = (
            (site.nodes, self.nodes, "nodes"),
            (site.gpus_per_node, self.gpus, "GPUs per node"),
            (site.ranks_per_node * (site.cpus_per_rank or 1), self.cores, "cores per node"),
            (wanted_mib, self.memory_mib, "MiB of memory per node"),
        )
        yield from (f"the site asks for {wanted} {what}" for wanted, there, what in asked if wanted > there)

    def doubts(self) -> Iterator[str]:
        """What makes measured times untrustworthy there."""
        if self.shared.split(":")[0] in ("FORCE", "YES"):
            yield f"OverSubscribe={self.shared}: cores may be shared with other jobs"
        if any(mode in self.preemption for mode in ("SUSPEND", "GANG")):
            yield f"PreemptMode={self.preemption}: a job that is stopped in place goes on paying time"


def read(text: str) -> list[Partition]:
    """Read what ``sinfo -h -o FORMAT`` printed: a line for each kind of node in each partition."""
    rows: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == FORMAT.count("|") + 1:
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
        gpu_kinds=_each_once(kind for kind, _ in gpus if kind),
        shared=rows[0][8],
        preemption=rows[0][9],
    )


def _number(cell: str) -> int:
    found = re.match(r"\d+", cell)  # 128+ stands for at least 128
    return int(found[0]) if found else 0


def _each_once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


SECONDS = 10.0


def queues(need: Need) -> Iterator[Item]:
    """Name the queue, and try the site's way to list its jobs."""
    yield from _kind(need)
    queue = need.site.queue
    if queue is None:
        return
    commands = (("submit", queue.submit), ("list", queue.list), ("cancel", queue.cancel))
    absent = [f"{key}: {words[0]}" for key, words in commands if shutil.which(words[0]) is None]
    if absent:
        remedy = "log in where jobs are submitted, or change queue: in the site file"
        yield missing("queue", f"not on the PATH: {', '.join(absent)}", remedy, needed=need.launcher == "queue")
        return
    answer = ask(queue.list, seconds=SECONDS)
    if answer.ok:
        lines = len(answer.out.splitlines())
        yield ok("queue", f"{' '.join(queue.list)} answers with {lines} lines in {answer.seconds:.1f} s")
    else:
        remedy = f"try {' '.join(queue.list)} by hand; the queue may be down"
        yield missing("queue", answer.why, remedy, needed=need.launcher == "queue")


def _kind(need: Need) -> Iterator[Item]:
    qsub = shutil.which("qsub")
    version = ask(["qstat", "--version"], seconds=SECONDS) if qsub else None
    if qsub and b"slurm" in Path(qsub).read_bytes()[:4096].lower():
        yield ok("qsub", "Slurm's imitation of it; use the launcher slurm")
    elif version and version.ok and "version" in version.first_line.lower():
        yield ok("qsub", f"PBS or Torque, {version.first_line}")
    elif qsub and shutil.which("qconf"):
        yield from _grid_engine()
    elif version:
        yield ok("qsub", f"of a kind that kbench does not know ({version.why or version.first_line})")
    if shutil.which("bsub"):
        yield ok("bsub", "LSF; a site with the launcher queue and a template of your own can drive it")
    if not qsub and need.launcher == "queue":
        yield ok("qsub", "neither Grid Engine nor PBS")


def _grid_engine() -> Iterator[Item]:
    version = ask(["qstat", "-help"], seconds=SECONDS)
    if not version.ok:
        remedy = "SGE_ROOT and SGE_CELL say where it is; its qmaster may be down"
        yield missing("qsub", f"Grid Engine, {version.why}", remedy, needed=False)
        return
    yield ok("qsub", f"Grid Engine, {version.first_line}")
    environments = ask(["qconf", "-spl"], seconds=SECONDS)
    if environments.ok:
        yield ok("parallel env.", f"{', '.join(environments.out.split()) or 'none'}; options: ['-pe NAME SLOTS']")


SECONDS = 10.0
AT_MOST = 8  # partitions that are shown
PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")


def slurm(need: Need) -> Iterator[Item]:
    """Look for the commands, the controller, the partitions and the settings that matter to kbench."""
    needed = need.launcher == "slurm"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        found = "no sbatch" if "sbatch" in absent else f"without {', '.join(absent)}"
        yield missing("slurm", found, "log in to the cluster's login node, or load its module", needed=needed)
        return
    ping = ask(["scontrol", "ping"], seconds=SECONDS)
    if not ping.ok or "UP" not in ping.out:
        found = f"its controller does not answer ({ping.first_line or ping.why})"
        yield missing("slurm", found, "try again later, or ask the administrator", needed=needed)
        return
    config = _config()
    named = f"{config.get('SLURM_VERSION', 'unknown version')}, cluster {config.get('ClusterName', 'unnamed')}"
    yield ok("slurm", f"{named}, its controller answers")
    yield from _partitions(need)
    yield from settings(config, need)


def _config() -> dict[str, str]:
    answer = ask(["scontrol", "show", "config"], seconds=SECONDS)
    pairs = (line.partition("=") for line in answer.out.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _partitions(need: Need) -> Iterator[Item]:
    answer = ask(["sinfo", "-h", "-o", FORMAT], seconds=SECONDS)
    if not answer.ok:
        yield warning("partitions", answer.why, "kbench cannot check what the site asks for")
        return
    yield from judge(read(answer.out), need)


def judge(every: list[Partition], need: Need) -> Iterator[Item]:
    """Hold the partition that a site's jobs go to against the site; show the others where none is named."""
    site, needed = need.site, need.launcher == "slurm"
    wanted = site.partition.split(",") if site.partition else [p.name for p in every if p.default]
    names = [partition.name for partition in every]
    for name in wanted:
        if name not in names:
            remedy = "change partition: in the site file; sinfo lists what is there"
            yield missing(f"partition {name}", f"not there{did_you_mean(name, names)}", remedy, needed=needed)
    chosen = [partition for partition in every if partition.name in wanted]
    others = [] if site.partition else [partition for partition in every if partition not in chosen]
    for partition in chosen:
        yield _judged(partition, need, needed=needed)
    for partition in others[:AT_MOST]:
        yield ok(f"partition {partition.name}", str(partition))
    if not wanted:
        remedy = "give partition: in the site file, no partition is the default here"
        yield warning("partitions", f"{len(every)} of them, none the default", remedy)
    if len(others) > AT_MOST:
        yield ok("partitions", f"{len(others) - AT_MOST} more; sinfo lists them")


def _judged(partition: Partition, need: Need, *, needed: bool) -> Item:
    name, found = f"partition {partition.name}", str(partition)
    complaints, doubts = list(partition.complaints(need.site)), list(partition.doubts())
    if complaints or not doubts:
        return judged(name, found, complaints, "change the site file, or take another partition", needed=needed)
    return warning(name, "; ".join([found, *doubts]), "ask for whole nodes: options: [--exclusive]")


def settings(config: Mapping[str, str], need: Need) -> Iterator[Item]:
    """What the settings of the cluster mean for runs."""
    yield _accounting(config)
    yield _requeue(config, need)
    size = config.get("MaxArraySize", "")
    if size.isdigit() and int(size) > 1:
        yield ok("job arrays", f"task numbers below {size}, at most {config.get('MaxJobCount', '?')} jobs in all")
    elif need.site.arrays:
        yield warning("job arrays", f"off (MaxArraySize {size or 'unknown'})", "arrays: false in the site file")


def _accounting(config: Mapping[str, str]) -> Item:
    kind = config.get("AccountingStorageType", "unknown")
    if kind.endswith("/none"):
        age = config.get("MinJobAge", "a while")
        return ok("accounting", f"off: Slurm forgets a job {age} after its end; kbench goes by what the runs wrote")
    return ok("accounting", f"on ({kind}); kbench does not depend on it")


def _requeue(config: Mapping[str, str], need: Need) -> Item:
    default = "by default" if config.get("JobRequeue") == "1" else "when the job asks for it"
    found = f"jobs of failed nodes go back into the queue {default}"
    kind, mode = config.get("PreemptType", ""), config.get("PreemptMode", "OFF")
    if kind.endswith("/none") or mode == "OFF":
        return ok("requeue", f"{found}; nothing is preempted")
    if "REQUEUE" in mode:
        return ok("requeue", f"{found}; preempted jobs too ({mode})")
    remedy = "kbench run again submits what is missing" if "CANCEL" in mode else "measured times may hold a long stop"
    return warning("requeue", f"{found}; preempted jobs do not (PreemptMode {mode})", remedy)
