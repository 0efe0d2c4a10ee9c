"""The partitions of a Slurm cluster, as sinfo tells them, against what a site asks for."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kbench.spec.site import Site

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
