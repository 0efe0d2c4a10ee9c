"""Which schedulers are here, and whether they give what a site asks for.

``DIAGNOSES`` has one function for each launcher that hands jobs to a scheduler: called with the site and whether
the site needs that scheduler, it yields findings.  What it knows of the scheduler is in the function alone.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kbench.config.parse import did_you_mean
from kbench.config.site import Site
from kbench.doctor.need import Need
from kbench.launch.diagnosis import Finding, ask, missing, ok, ok_unless, warning

SECONDS = 10.0  # that a scheduler's command may take

# -- Slurm ------------------------------------------------------------------------------------------------------------

PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
FORMAT = "%R|%P|%a|%l|%D|%c|%m|%G|%h|%M"
NO_LIMIT = ("infinite", "n/a", "UNLIMITED")
MIB = {"M": 1, "G": 2**10, "T": 2**20}
MAX_SHOWN = 8  # partitions


def slurm(site: Site, *, needed: bool) -> Iterator[Finding]:
    """Look for Slurm's commands, its controller, its partitions and the settings that matter to kbench."""
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
    yield from _partitions(site, needed=needed)
    yield from settings(config, site)


def _config() -> dict[str, str]:
    answer = ask(["scontrol", "show", "config"], seconds=SECONDS)
    pairs = (line.partition("=") for line in answer.out.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _partitions(site: Site, *, needed: bool) -> Iterator[Finding]:
    answer = ask(["sinfo", "-h", "-o", FORMAT], seconds=SECONDS)
    if answer.ok:
        yield from judge(read_partitions(answer.out), site, needed=needed)
    else:
        yield warning("partitions", answer.why, "kbench cannot check what the site asks for")


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
        if self.limit in NO_LIMIT:
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
        gpu_kinds=tuple(dict.fromkeys(kind for kind, _ in gpus if kind)),
        shared=rows[0][8],
        preemption=rows[0][9],
    )


def _number(cell: str) -> int:
    found = re.match(r"\d+", cell)  # 128+ stands for at least 128
    return int(found[0]) if found else 0


def judge(partitions: list[Partition], site: Site, *, needed: bool) -> Iterator[Finding]:
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
        yield _judged(partition, site, needed=needed)
    for partition in others[:MAX_SHOWN]:
        yield ok(f"partition {partition.name}", str(partition))
    if not wanted:
        remedy = "give partition: in the site file, no partition is the default here"
        yield warning("partitions", f"{len(partitions)} of them, none the default", remedy)
    if len(others) > MAX_SHOWN:
        yield ok("partitions", f"{len(others) - MAX_SHOWN} more; sinfo lists them")


def _judged(partition: Partition, site: Site, *, needed: bool) -> Finding:
    name, found = f"partition {partition.name}", str(partition)
    complaints, risks = list(partition.complaints(site)), list(partition.timing_risks())
    if risks and not complaints:
        return warning(name, "; ".join([found, *risks]), "ask for whole nodes: options: [--exclusive]")
    return ok_unless(complaints, name, found, "change the site file, or take another partition", needed=needed)


def settings(config: Mapping[str, str], site: Site) -> Iterator[Finding]:
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


# -- schedulers that are driven by commands of the site ---------------------------------------------------------------


def queue(site: Site, *, needed: bool) -> Iterator[Finding]:
    """Name the scheduler behind qsub or bsub, and try the site's command that lists its jobs."""
    yield from _kind(needed=needed)
    if site.queue is None:
        return
    commands = (("submit", site.queue.submit), ("list", site.queue.list), ("cancel", site.queue.cancel))
    absent = [f"{key}: {command[0]}" for key, command in commands if shutil.which(command[0]) is None]
    if absent:
        remedy = "log in where jobs are submitted, or change queue: in the site file"
        yield missing("queue", f"not on the PATH: {', '.join(absent)}", remedy, needed=needed)
        return
    listing, answer = " ".join(site.queue.list), ask(site.queue.list, seconds=SECONDS)
    if answer.ok:
        lines = len(answer.out.splitlines())
        yield ok("queue", f"{listing} answers with {lines} lines in {answer.seconds:.1f} s")
    else:
        yield missing("queue", answer.why, f"try {listing} by hand; the queue may be down", needed=needed)


def _kind(*, needed: bool) -> Iterator[Finding]:
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
    if not qsub and needed:
        yield ok("qsub", "neither Grid Engine nor PBS")


def _grid_engine() -> Iterator[Finding]:
    version = ask(["qstat", "-help"], seconds=SECONDS)
    if not version.ok:
        remedy = "SGE_ROOT and SGE_CELL say where it is; its qmaster may be down"
        yield missing("qsub", f"Grid Engine, {version.why}", remedy, needed=False)
        return
    yield ok("qsub", f"Grid Engine, {version.first_line}")
    environments = ask(["qconf", "-spl"], seconds=SECONDS)
    if environments.ok:
        yield ok("parallel env.", f"{', '.join(environments.out.split()) or 'none'}; options: ['-pe NAME SLOTS']")


# -- what the doctor asks of each -------------------------------------------------------------------------------------


class Diagnosis(Protocol):
    """What a scheduler's findings come from."""

    def __call__(self, site: Site, *, needed: bool) -> Iterator[Finding]:
        """Findings about the scheduler on this machine; ``needed``: the site cannot do without it."""


DIAGNOSES: dict[str, Diagnosis] = {"slurm": slurm, "queue": queue}  # by the launcher's name


def _check(launcher: str, diagnosis: Diagnosis) -> Callable[[Need], Iterator[Finding]]:
    return lambda need: diagnosis(need.site, needed=need.launcher == launcher)


SCHEDULERS = {launcher: _check(launcher, diagnosis) for launcher, diagnosis in DIAGNOSES.items()}
