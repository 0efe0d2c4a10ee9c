"""Slurm: sbatch, one squeue for all jobs, scancel; sacct only where there is one."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from kbench.errors import LaunchError
from kbench.launch.schedulers.base import Seen, Stage, ask

FORMAT = "%i|%T|%S|%r|%j"
STAGES = {
    Stage.WAITING: "PENDING REQUEUED REQUEUE_HOLD REQUEUE_FED CONFIGURING SPECIAL_EXIT RESV_DEL_HOLD",
    Stage.RUNNING: "RUNNING COMPLETING SUSPENDED SIGNALING STAGE_OUT STOPPED RESIZING",
}
SUBMIT_PATIENCE_S = 120.0
AT_ONCE = 500  # ids in one command
ARRAY_TASKS = 1000  # of a cluster that does not tell its limit


class Slurm:
    """A Slurm cluster, with or without accounting."""

    def submit(self, script: Path, *, keep: Sequence[int] = ()) -> str:
        """Hand in a job script, whose header says all; returns the job's id."""
        said = ask(["sbatch", "--parsable", str(script)], patience_s=SUBMIT_PATIENCE_S, keep=keep)
        found = re.search(r"^(\d+)(;\S+)?$", said.strip(), re.MULTILINE)
        if not found:
            raise LaunchError(f"sbatch prints no job id but {said.strip()[:80]!r}")
        return found[1]

    def test(self, script: Path) -> str:
        """What ``sbatch --test-only`` says of a script; raises LaunchError when it would be refused."""
        words = ["bash", "-c", 'sbatch --test-only "$1" 2>&1', "sbatch", str(script)]
        said = ask(words, name="sbatch --test-only", patience_s=SUBMIT_PATIENCE_S)
        return said.strip().removeprefix("sbatch: ")

    def jobs(self) -> dict[str, Seen]:
        """Every job of this user that the controller remembers, finished ones of the last minutes included."""
        said = ask(["squeue", "-h", "-r", "-t", "all", "-u", str(os.getuid()), "-o", FORMAT])
        return dict(map(_seen, filter(None, said.splitlines())))

    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs, waiting ones too."""
        words = by_array(ids)
        for first in range(0, len(words), AT_ONCE):
            ask(["scancel", *words[first : first + AT_ONCE]])

    def ended(self, ids: Sequence[str]) -> dict[str, str]:
        """How jobs ended, as far as the accounting tells; nothing where there is none."""
        if not ids or shutil.which("sacct") is None:
            return {}
        try:
            said = ask(["sacct", "-n", "-P", "-X", "-j", ",".join(ids[:AT_ONCE]), "-o", "JobID,State"])
        except LaunchError:
            return {}
        rows = (line.split("|") for line in said.splitlines() if "|" in line)
        return {row[0]: row[1].split()[0] for row in rows if row[1]}

    def array_tasks(self) -> int:
        """How many tasks an array may have."""
        try:
            found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask(["scontrol", "show", "config"]), re.MULTILINE)
        except LaunchError:
            return ARRAY_TASKS
        return max(1, int(found[1]) - 1) if found else ARRAY_TASKS


def limit_s(partition: str) -> int | None:
    """The longest time that a job gets in a partition, or in the default one [s]; None: no limit, or not known."""
    where = ["-p", partition] if partition else []
    try:
        said = ask(["sinfo", "-h", *where, "-o", "%P %l"])
    except LaunchError:
        return None
    rows = [line.split() for line in said.splitlines() if len(line.split()) == 2]
    limits = [limit for name, limit in rows if partition or name.endswith("*")]
    known = [seconds for limit in limits if (seconds := _seconds(limit)) is not None]
    return max(known) if known and len(known) == len(limits) else None


def _seconds(limit: str) -> int | None:
    """What sinfo's ``1-12:00:00``, ``2:00:00`` or ``30:00`` mean; None for infinite."""
    days, _, rest = limit.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in [*parts, days or "0"]) or len(parts) not in (2, 3):
        return None
    hours, minutes, seconds = ["0", *parts][-3:]
    return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)


def answers(patience_s: float = 10.0) -> bool:
    """Whether there is a Slurm here whose controller is up."""
    if shutil.which("sbatch") is None:
        return False
    try:
        return "UP" in ask(["scontrol", "ping"], patience_s=patience_s)
    except LaunchError:
        return False


def failed_nodes(names: Sequence[str]) -> list[str]:
    """Those of some nodes that the controller does not trust: down, failing, or not responding."""
    if not names:
        return []
    try:
        said = ask(["sinfo", "-h", "-N", "-n", ",".join(names), "-o", "%N %T"])
    except LaunchError:
        return []
    rows = [line.split() for line in said.splitlines() if len(line.split()) == 2]
    return sorted({name for name, state in rows if state.startswith(("down", "fail")) or state.endswith("*")})


def by_array(ids: Sequence[str]) -> list[str]:
    """Job ids with the tasks of an array in one word (``12_[0,3]``): a question each would swamp the controller."""
    tasks: dict[str, list[str]] = {}
    for job, _, task in (one.partition("_") for one in ids):
        tasks.setdefault(job, []).extend([task] if task else [])
    return [f"{job}_[{','.join(numbers)}]" if numbers else job for job, numbers in tasks.items()]


def _seen(line: str) -> tuple[str, Seen]:
    job, state, starts_at, reason, name = line.split("|", 4)
    stage = next((stage for stage, states in STAGES.items() if state in states.split()), Stage.OVER)
    told = reason if stage is Stage.WAITING else state
    return job, Seen(stage, name, "" if told == "None" else told, "" if starts_at == "N/A" else starts_at)
