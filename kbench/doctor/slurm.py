"""Whether a Slurm is there, and what it allows."""

import shutil
from collections.abc import Iterator, Mapping

from kbench.doctor import partitions
from kbench.doctor.ask import ask
from kbench.doctor.item import Item, judged, missing, ok, warning
from kbench.doctor.need import Need
from kbench.doctor.partitions import Partition
from kbench.spec.parse import did_you_mean

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
    answer = ask(["sinfo", "-h", "-o", partitions.FORMAT], seconds=SECONDS)
    if not answer.ok:
        yield warning("partitions", answer.why, "kbench cannot check what the site asks for")
        return
    yield from judge(partitions.read(answer.out), need)


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
