"""The folders that a site's runs live on: can all nodes see them, and do they keep their promises?"""

import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kbench.doctor.need import Item, Need, ask, missing, ok, warning

MOUNTS = Path("/proc/self/mounts")


def main() -> None:
    """Print the facts on one line."""
    print(json.dumps(facts(Path(sys.argv[1]))))


def facts(asked: Path) -> dict[str, Any]:
    """Type, space, and what came of each thing that kbench does with files."""
    path = asked.absolute()
    folder = next(place for place in (path, *path.parents) if place.is_dir())
    space = os.statvfs(folder)
    return {
        "folder": str(folder),
        "exists": folder == path,
        "type": kind(folder),
        "free_bytes": space.f_bavail * space.f_frsize,
        "total_bytes": space.f_blocks * space.f_frsize,
        "free_inodes": space.f_favail if space.f_files else None,  # some file systems count none
        **_tried(folder),
    }


def kind(folder: Path, *, mounts: Path = MOUNTS) -> str:
    """The type of the file system that a folder lies on; empty where the system does not tell."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    real, found = os.path.realpath(folder), ("", "")
    for line in lines:
        _, place, name = line.split()[:3]
        place = place.encode().decode("unicode_escape")  # a space is written \040
        if Path(real).is_relative_to(place) and len(place) >= len(found[0]):
            found = (place, name)
    return found[1]


def _tried(folder: Path) -> dict[str, Any]:
    """Seconds of a synced write, and errors by what was tried."""
    errors: dict[str, str] = {}
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix=".kbench-doctor-", dir=folder) as place:
            draft = Path(place, "draft")
            _write(draft)
            write_s = time.monotonic() - begun
            for name, act in (("flock", _lock), ("link", _link), ("rename", _rename)):
                try:
                    act(draft)
                except OSError as error:
                    errors[name] = error.strerror or str(error)
    except OSError as error:
        return {"write_s": None, "errors": {"write": error.strerror or str(error)}}
    return {"write_s": write_s, "errors": errors}


def _write(draft: Path) -> None:
    with draft.open("w") as file:
        file.write("kbench doctor\n")
        file.flush()
        os.fsync(file.fileno())


def _lock(draft: Path) -> None:
    with draft.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _link(draft: Path) -> None:
    os.link(draft, draft.with_name("second"))


def _rename(draft: Path) -> None:
    target = draft.with_name("target")
    target.write_text("old\n")
    draft.replace(target)
    if target.read_text() != "kbench doctor\n":
        raise OSError("a renamed file still shows its old text")


if __name__ == "__main__":
    main()

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
    answer = ask([sys.executable, "-m", "kbench.doctor.folders", str(folder)], seconds=SECONDS)
    if not answer.ok:
        return f"{folder}: {answer.why.partition(': ')[2] or 'its file system ' + answer.why.partition(' ')[2]}"
    found: dict[str, Any] = json.loads(answer.out)
    return found
