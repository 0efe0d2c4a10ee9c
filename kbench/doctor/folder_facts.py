"""Tell as JSON what a folder's file system can do: ``python -m kbench.doctor.folder_facts FOLDER``.

A program of its own, as a dead network file system must not hang who asks.
"""

import fcntl
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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
