"""Write files whole or not at all, read and write JSON and journals of JSON lines, take locks: only here."""

import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from kbench.errors import ResultsError

DAY_S = 86_400
MAX_PID_DIGITS = 10
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
PROBE_BYTES = 8192  # file systems keep a little back where nothing else fits


@contextmanager
def writing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield the path of a draft; it becomes ``path`` when the block ends, and goes when the block fails.

    Drafts of the same file that killed writers left are removed first.

    Args:
        path: The file to write; its folder must be there.
        sync: Wait until the content is on the disk before it takes the place of the old one.

    Raises:
        ResultsError: The file cannot be written; the message names it and the reason.
    """
    with _draft(path) as draft:
        yield draft
        if sync:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        draft.replace(path)


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text becomes UTF-8.  Raises ResultsError where that is not possible."""
    with writing(path) as draft:
        draft.write_bytes(_bytes(content))


def create(path: Path, content: str | bytes) -> bool:
    """Write a file, whole, unless it is there; of several processes one is first.  Returns whether it was this one."""
    with _draft(path) as draft:
        draft.write_bytes(_bytes(content))
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
    return True


def write_json(path: Path, entry: Mapping[str, Any]) -> None:
    """Write an object as a JSON file, whole or not at all."""
    write(path, json.dumps(entry, indent=1, default=str) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; empty when there is no such file, or not all of it yet."""
    try:
        entry = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Write ``entry`` as the last line of a journal and wait until it is on the disk.

    A line that a crash left unfinished is ended first, so that it cannot swallow this one.
    Raises ValueError for a number that JSON lacks, ResultsError where the file cannot be written.
    """
    line = json.dumps(entry, allow_nan=False, default=str) + "\n"
    try:
        with path.open("ab+") as file:
            if file.tell() and not _ends_whole(file.fileno(), file.tell()):
                line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ResultsError(f"{path}: cannot be written: {reason(error)}") from error


def lines(path: Path) -> list[bytes]:
    """Read the lines of a journal, empty ones too; the last is empty where it was written to its end."""
    try:
        return path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal; what a crash tore is passed over."""
    for line in lines(path):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Yield the path of a draft of a folder, which is to be made there; the rest is as in ``writing``."""
    with _draft(path) as draft:
        yield draft
        shutil.rmtree(path, ignore_errors=True)
        draft.rename(path)


def clock_offset_s(folder: Path) -> float:
    """How far the clock that dates a folder's files is ahead of this host's [s]; 0 where none can be made."""
    draft = folder / f".clock.{socket.gethostname()}.{os.getpid()}"
    try:
        draft.touch()
        offset_s = draft.stat().st_mtime - time.time()
        draft.unlink()
    except OSError:
        return 0.0
    return offset_s


@contextmanager
def locked(path: Path, *, required: bool = True) -> Iterator[int]:
    """Hold the lock that is on a file, and wait until nobody else does; yields its descriptor.

    The lock goes with its process, or with the last one that inherited the descriptor: hence flock itself, as
    the filelock library neither hands the descriptor on nor leaves the file alone.

    Args:
        path: The file; it is made where there is none, and what it holds stays.
        required: Raise OSError on a file system that cannot lock; otherwise go on without.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            if required:
                raise
        yield file.fileno()


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Yield where to write what is to become ``path``, and name ``path`` in errors."""
    draft = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    remove_drafts(path)
    try:
        yield draft
    except OSError as error:
        if error.filename is None or Path(error.filename) in (draft, path):
            raise ResultsError(f"{path}: cannot be written: {reason(error)}") from error
        raise  # it is about another file
    finally:
        with suppress(OSError):
            remove(draft)  # half a file on a full disk helps nobody


def reason(error: BaseException) -> str:
    """Say why something failed, in words that name no file and are never empty."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # libraries put the name of the draft into theirs
    return str(error) or type(error).__name__


def is_full(error: BaseException | None) -> bool:
    """Whether something failed, or what it was raised from, because a file system or the user's quota is full."""
    while error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False


def lacks_room(folder: Path) -> str:
    """Say why nothing more can be written into a folder: it is full, or a quota is; empty where neither is so."""
    draft = folder / f".room.{socket.gethostname()}.{os.getpid()}"
    try:
        draft.write_bytes(os.urandom(PROBE_BYTES))
    except OSError as error:
        return reason(error) if is_full(error) else ""
    finally:
        with suppress(OSError):
            draft.unlink()
    return ""


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _ends_whole(descriptor: int, size: int) -> bool:
    return os.pread(descriptor, 1, size - 1) == b"\n"


def remove_drafts(path: Path, *, of_any: bool = False) -> None:
    """Remove drafts of a file whose writers are dead, on this host, or have not touched them for a day.

    Args:
        path: The file; ``folder / "*"`` stands for all files of a folder.
        of_any: Remove the drafts of all writers, where nobody else may write the file any more.
    """
    for draft in dead_drafts(path, of_any=of_any):
        with suppress(OSError):
            remove(draft)


def dead_drafts(path: Path, *, of_any: bool = False) -> Iterator[Path]:
    """Find the drafts that ``remove_drafts`` removes."""
    name = "*" if path.name == "*" else escape(path.name)
    for draft in path.parent.glob(f".{name}.*"):
        place, _, process = draft.name.rpartition(".")
        host = "" if path.name == "*" else place.removeprefix(f".{path.name}.")
        is_here = host in ("", socket.gethostname()) if path.name != "*" else place.endswith(f".{socket.gethostname()}")
        if not (process.isascii() and process.isdigit()) or len(process) > MAX_PID_DIGITS:
            continue
        with suppress(OSError):
            is_dead = is_here and not _is_running(int(process))
            if of_any or is_dead or time.time() - draft.stat().st_mtime > DAY_S:
                yield draft


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of somebody else
        pass
    return True
