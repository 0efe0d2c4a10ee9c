"""The folders that a site's runs live on: can all nodes see them, and do they keep their promises?"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kbench.doctor.ask import ask
from kbench.doctor.item import Item, missing, ok, warning
from kbench.doctor.need import Need

SECONDS = 10.0
GIB = 2**30
ENOUGH_BYTES = GIB
ENOUGH_INODES = 10_000
SLOW_S = 1.0
IN_MEMORY = ("tmpfs", "ramfs")
SHARED = (  # as /proc/mounts calls them
    "nfs nfs4 lustre gpfs beegfs beegfs_nodev ceph fuse.ceph panfs wekafs glusterfs fuse.glusterfs cifs smb3 afs "
    "orangefs pvfs2 fuse.sshfs 9p virtiofs fuse.juicefs"
).split()
REMEDIES = {
    "write": "choose another folder with --results or KBENCH_RESULTS",
    "rename": "choose a folder on another file system: a status could be read half written",
    "link": "choose a folder on another file system: the first of several failures is kept by a hard link",
    "flock": "mount it with locks (-o flock), or start only one kbench run of an experiment at a time",
}


def folders(need: Need) -> Iterator[Item]:
    """Look at the folder of the results, and at the scratch that a site names."""
    facts = _facts(need.results)
    if isinstance(facts, str):
        yield missing("results folder", facts, REMEDIES["write"], needed=True)
    else:
        yield results(facts, need)
    if need.site.scratch:
        yield _scratch(need)


def results(facts: dict[str, Any], need: Need) -> Item:
    """Judge the folder of the results by what was tried on it."""
    name, found = "results folder", described(facts)
    errors: dict[str, str] = facts["errors"]
    for tried in ("write", "rename", "link"):
        if tried in errors:
            return missing(name, f"{found}; {tried}: {errors[tried]}", REMEDIES[tried], needed=True)
    doubts = list(_doubts(facts, need))
    if doubts:
        said, remedies = zip(*doubts, strict=True)
        return warning(name, "; ".join([found, *said]), "; ".join(remedies))
    return ok(name, f"{found}; write, sync, rename, link and flock work")


def _doubts(facts: dict[str, Any], need: Need) -> Iterator[tuple[str, str]]:
    """What will disappoint, each with its remedy."""
    if "flock" in facts["errors"]:
        yield f"flock: {facts['errors']['flock']}", REMEDIES["flock"]
    if need.on_others and facts["type"] not in SHARED:
        yield "looks like this node's own", "every node must see it: --results on a shared file system, if this is none"
    elif facts["type"] in IN_MEMORY:
        yield "it lies in memory", "it is gone after a restart; choose another with --results"
    inodes = facts["free_inodes"]
    if facts["free_bytes"] < ENOUGH_BYTES or (inodes is not None and inodes < ENOUGH_INODES):
        yield "that is little", "make room: a run keeps a checkpoint and about ten files"
    if facts["write_s"] > SLOW_S:
        yield f"a synced write took {facts['write_s']:.1f} s", "expect pauses between epochs"


def described(facts: dict[str, Any]) -> str:
    """Where a folder lies and what room it has."""
    inodes = f", {facts['free_inodes']:,} files" if facts["free_inodes"] is not None else ""
    kind = facts["type"]
    reach = f"{kind} ({'shared' if kind in SHARED else 'node-local'})" if kind else "of unknown type"
    there = facts["folder"] if facts["exists"] else f"not yet there, below {facts['folder']}"
    return f"{there}, {reach}, {facts['free_bytes'] / GIB:.1f} GiB{inodes} free"


def _scratch(need: Need) -> Item:
    path = os.path.expandvars(need.site.scratch)
    if "$" in path:
        return ok("scratch", f"{path}: known inside of a job only")
    facts = _facts(Path(path))
    if not isinstance(facts, str) and not facts["exists"]:
        facts = f"{path} is not there"
    remedy = "change scratch: in the site file; without it, data is read where it lies"
    if isinstance(facts, str) or "write" in facts["errors"]:
        found = facts if isinstance(facts, str) else f"{described(facts)}; {facts['errors']['write']}"
        if need.here:
            return missing("scratch", found, remedy, needed=True)
        return warning("scratch", f"{found}, on this node at least", remedy)
    if facts["type"] in SHARED:
        return warning("scratch", described(facts), "no node's own: copying data there saves nothing")
    return ok("scratch", described(facts))


def _facts(folder: Path) -> dict[str, Any] | str:
    """What a folder can do, or why it could not be told."""
    answer = ask([sys.executable, "-m", "kbench.doctor.folder_facts", str(folder)], seconds=SECONDS)
    if not answer.ok:
        return f"{folder}: {answer.why.partition(': ')[2] or 'its file system ' + answer.why.partition(' ')[2]}"
    found: dict[str, Any] = json.loads(answer.out)
    return found
