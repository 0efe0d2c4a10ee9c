"""Queues other than Slurm: which one is there, and whether the site's commands reach it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from kbench.doctor.ask import ask
from kbench.doctor.item import Item, missing, ok
from kbench.doctor.need import Need

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
