"""The folders that a site's runs live on: can all nodes see them, and do they keep their promises?

``python -m kbench.doctor.folders FOLDER`` tries a folder out and prints what came of it as JSON, in a process that
the doctor can give up.
"""

import fcntl
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from kbench.doctor.need import Need
from kbench.launch.diagnosis import Finding, ask, missing, ok, warning

SECONDS = 10.0
GIB = 2**30
MIN_BYTES = GIB
MIN_INODES = 10_000
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
    "group": "umask 027 before kbench run, and in setup: of the site file; chmod -R g+rX opens what is there",
    "flock": "mount it with locks (-o flock), or start only one kbench run of an experiment at a time",
}


@dataclass(frozen=True, kw_only=True)
class FolderFacts:
    """What a folder is, and what came of trying what kbench does with files."""

    folder: str  # the nearest one that exists
    exists: bool  # whether that is the folder that was asked for
    type: str  # of its file system; empty: unknown
    free_bytes: int
    free_inodes: int | None  # some file systems count none
    write_s: float | None  # of a synced write [s]; None: it failed
    errors: dict[str, str]  # by what was tried: write, group, flock, link, rename

    def __str__(self) -> str:
        inodes = f", {self.free_inodes:,} files" if self.free_inodes is not None else ""
        reach = f"{self.type} ({'shared' if self.is_shared else 'node-local'})" if self.type else "of unknown type"
        where = self.folder if self.exists else f"not yet there, below {self.folder}"
        return f"{where}, {reach}, {self.free_bytes / GIB:.1f} GiB{inodes} free"

    @property
    def is_shared(self) -> bool:
        """Whether other nodes can see it, as far as its type tells."""
        return self.type in SHARED


FACTS = TypeAdapter(FolderFacts)


def folders(need: Need) -> Iterator[Finding]:
    """Look at the folder of the results, and at the scratch that a site names."""
    facts = _facts(need.results)
    if isinstance(facts, str):
        yield missing("results folder", facts, REMEDIES["write"], needed=True)
    else:
        yield results(facts, need)
    if need.site.scratch:
        yield _scratch(need)


def results(facts: FolderFacts, need: Need) -> Finding:
    """Judge the folder of the results by what was tried on it."""
    for tried in ("write", "rename", "link"):
        if tried in facts.errors:
            found = f"{facts}; {tried}: {facts.errors[tried]}"
            return missing("results folder", found, REMEDIES[tried], needed=True)
    drawbacks = list(_drawbacks(facts, need))
    if drawbacks:
        found, remedies = ("; ".join(column) for column in zip(*drawbacks, strict=True))
        return warning("results folder", f"{facts}; {found}", remedies)
    return ok("results folder", f"{facts}; write, sync, rename, link and flock work")


def _drawbacks(facts: FolderFacts, need: Need) -> Iterator[tuple[str, str]]:
    """What will disappoint, each with its remedy."""
    for tried in ("flock", "group"):
        if tried in facts.errors:
            yield f"{tried}: {facts.errors[tried]}", REMEDIES[tried]
    if need.on_others and not facts.is_shared:
        yield "looks like this node's own", "every node must see it: --results on a shared file system, if this is none"
    elif facts.type in IN_MEMORY:
        yield "it lies in memory", "it is gone after a restart; choose another with --results"
    inodes = facts.free_inodes
    if facts.free_bytes < MIN_BYTES or (inodes is not None and inodes < MIN_INODES):
        yield "that is little", "make room: a run keeps a checkpoint and about ten files"
    if facts.write_s is not None and facts.write_s > SLOW_S:
        yield f"a synced write took {facts.write_s:.1f} s", "expect pauses between epochs"


def _scratch(need: Need) -> Finding:
    path = os.path.expandvars(need.site.scratch)
    if "$" in path:
        return ok("scratch", f"{path}: known inside of a job only")
    facts = _facts(Path(path))
    if not isinstance(facts, str) and not facts.exists:
        facts = f"{path} is not there"
    remedy = "change scratch: in the site file; without it, data is read where it lies"
    if isinstance(facts, str) or "write" in facts.errors:
        found = facts if isinstance(facts, str) else f"{facts}; {facts.errors['write']}"
        return need.lacking("scratch", found, remedy)
    if facts.is_shared:
        return warning("scratch", str(facts), "no node's own: copying data there saves nothing")
    return ok("scratch", str(facts))


def _facts(folder: Path) -> FolderFacts | str:
    """What a folder is and can do, or why that cannot be known."""
    answer = ask([sys.executable, "-m", "kbench.doctor.folders", str(folder)], seconds=SECONDS)
    if not answer.ok:
        return f"{folder}: {answer.why.partition(': ')[2] or 'its file system ' + answer.why.partition(' ')[2]}"
    return FACTS.validate_json(answer.out)


MOUNTS = Path("/proc/self/mounts")  # psutil reads /etc/mtab, which containers often lack


def try_folder(folder: Path) -> FolderFacts:
    """Try in a folder, or in the one that would hold it, what kbench does with files; nothing is left behind."""
    path = folder.absolute()
    nearest = next(place for place in (path, *path.parents) if place.is_dir())
    space = os.statvfs(nearest)
    errors: dict[str, str] = {}
    return FolderFacts(
        folder=str(nearest),
        exists=nearest == path,
        type=file_system(nearest),
        free_bytes=space.f_bavail * space.f_frsize,
        free_inodes=space.f_favail if space.f_files else None,
        write_s=_try(nearest, errors),
        errors=errors,
    )


def file_system(folder: Path, *, mounts: Path = MOUNTS) -> str:
    """The type of the file system that a folder lies on; empty where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    real, found = os.path.realpath(folder), ("", "")
    for line in lines:
        _, place, name = line.split()[:3]
        place = place.encode().decode("unicode_escape")  # a space is written \040
        if Path(real).is_relative_to(place) and len(place) >= len(found[0]):
            found = (place, name)
    return found[1]


def _try(folder: Path, errors: dict[str, str]) -> float | None:
    """Seconds of a synced write, None where it fails; notes the errors of what is tried."""
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix=".kbench-doctor-", dir=folder) as place:
            draft = Path(place, "draft")
            _write(draft)
            write_s = time.monotonic() - started
            if folder.stat().st_mode & stat.S_IWGRP and not draft.stat().st_mode & stat.S_IRGRP:
                errors["group"] = "may write here, and not read what you write (umask)"
            for name, act in (("flock", _lock), ("link", _link), ("rename", _rename)):
                try:
                    act(draft)
                except OSError as error:
                    errors[name] = error.strerror or str(error)
    except OSError as error:
        errors["write"] = error.strerror or str(error)
        return None
    return write_s


def _write(draft: Path) -> None:
    with draft.open("w", encoding="utf-8") as file:
        file.write("kbench doctor\n")
        file.flush()
        os.fsync(file.fileno())


def _lock(draft: Path) -> None:
    with draft.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _link(draft: Path) -> None:
    os.link(draft, draft.with_name("second"))


def _rename(draft: Path) -> None:
    target = draft.with_name("target")
    target.write_text("old\n", encoding="utf-8")
    draft.replace(target)
    if target.read_text(encoding="utf-8") != "kbench doctor\n":
        raise OSError("a renamed file still shows its old text")


if __name__ == "__main__":
    print(FACTS.dump_json(try_folder(Path(sys.argv[1]))).decode())
