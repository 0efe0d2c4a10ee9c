"""Files of one JSON object a line: appended by one writer, readable at any moment."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def append(path: Path, entry: dict[str, Any]) -> None:
    """Write ``entry`` as the last line and wait until it is on the disk.

    A line that a crash left unfinished is ended first, so that it cannot swallow this one.
    """
    line = json.dumps(entry, allow_nan=False, default=str) + "\n"
    with path.open("ab+") as file:
        if file.tell() and not _ends_whole(file.fileno(), file.tell()):
            line = "\n" + line
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal; what a crash tore is passed over."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def as_list(path: Path) -> bytes:
    """The lines of a journal as one JSON list, whatever is in them; an empty one where there is no journal."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return b"[" + b",".join(line for line in lines if line) + b"]"


def _ends_whole(descriptor: int, size: int) -> bool:
    return os.pread(descriptor, 1, size - 1) == b"\n"
