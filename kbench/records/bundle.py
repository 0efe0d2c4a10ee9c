"""One archive of an experiment, checksums of everything in it, and the way back into a folder of results."""

import gzip
import hashlib
import io
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import kbench
from kbench import files
from kbench.config.value_types import Name
from kbench.errors import ResultsError
from kbench.records.folders import ExperimentDir
from kbench.records.migrations import sentence
from kbench.records.snapshot import CHECKPOINT, PREVIOUS

CONTENTS = "bundle.json"  # the first member, and a file of the folder that was unpacked
# Weights are large and needed by nobody who compares; the rest means something only where the runs were started.
LEFT_OUT = (CHECKPOINT, PREVIOUS, "ledger.jsonl", "front.json", "stop", "turn", "alive", CONTENTS)
MAX_CONTENTS_BYTES = 2**26
MAX_RATIO = 200  # bytes unpacked for a byte of the archive; journals have about ten
FREE_BYTES = 2**20  # that may be unpacked whatever the ratio
REMEDY = "fetch the archive again, or make it again with kbench bundle"


class BundledFile(BaseModel):
    """A file of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    n_bytes: int = Field(ge=0)


class Bundle(BaseModel):
    """What ``bundle.json`` says: which experiment it is, and every file by its path in the experiment's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    experiment: Name
    made_at: datetime
    kbench_version: str
    files: Mapping[str, BundledFile]


class Packed(NamedTuple):
    """What was packed, and what was left out: paths with their sizes [byte]."""

    bundle: Bundle
    left_out: Mapping[str, int]


def pack(folder: ExperimentDir, archive: Path, *, extra: Mapping[str, bytes]) -> Packed:
    """Write a .tar.gz of an experiment.

    Args:
        folder: The experiment's folder; it is only read.
        archive: The file to write.
        extra: More files, by their paths in the folder: tables, figures, a page.  They take the place of older ones.

    Raises:
        ResultsError: A file cannot be read, or the archive cannot be written.
    """
    contents, left_out = dict(extra), dict[str, int]()
    for path in sorted(folder.path.rglob("*")):
        name = path.relative_to(folder.path).as_posix()
        if path.is_symlink() or not path.is_file() or name in extra:
            continue
        try:
            if path.name in LEFT_OUT or path.name.startswith("."):
                left_out[name] = path.stat().st_size
            else:
                contents[name] = path.read_bytes()
        except OSError as error:
            raise ResultsError(f"{path}: cannot be read: {files.reason(error)}") from error
    listed = {
        name: BundledFile(sha256=hashlib.sha256(content).hexdigest(), n_bytes=len(content))
        for name, content in sorted(contents.items())
    }
    bundle = Bundle(
        experiment=folder.path.name, made_at=datetime.now(UTC), kbench_version=kbench.__version__, files=listed
    )
    with (
        files.writing(archive) as draft,
        draft.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped,  # whose header would name the draft
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in {CONTENTS: bundle.model_dump_json(indent=1).encode(), **contents}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return Packed(bundle, left_out)


def read(archive: Path) -> tuple[Bundle, dict[str, bytes]]:
    """Read and verify a bundle; returns what it says and its files.

    Raises:
        ResultsError: It is no bundle, or a file in it is missing, more, another, or wants to lie elsewhere.
    """
    found = _members(archive)
    try:
        bundle = Bundle.model_validate_json(found.pop(CONTENTS, b""))
    except ValidationError as error:
        raise ResultsError(f"{archive}: is no bundle of kbench: {CONTENTS}: {sentence(error)}", hint=REMEDY) from error
    for name, content in found.items():
        if name not in bundle.files:
            raise ResultsError(f"{archive}: {name} is in it and not in {CONTENTS}", hint=REMEDY)
        if hashlib.sha256(content).hexdigest() != bundle.files[name].sha256:
            raise ResultsError(f"{archive}: {name} is not what was packed: its sha256 differs", hint=REMEDY)
    missing = next((name for name in bundle.files if name not in found), None)
    if missing:
        raise ResultsError(f"{archive}: {missing} is missing", hint=REMEDY)
    return bundle, found


def unpack(archive: Path, results: Path) -> tuple[Bundle, ExperimentDir]:
    """Verify a bundle and make its experiment's folder below ``results``; all of it, or nothing.

    Raises:
        ResultsError: It is no whole bundle, or results of that name are there.
    """
    bundle, found = read(archive)
    folder = ExperimentDir(results / bundle.experiment)
    if folder.path.exists():
        raise ResultsError(
            f"{folder.path}: is there already",
            hint="name another --results, and kbench merge brings both together",
        )
    try:
        results.mkdir(parents=True, exist_ok=True)
        with files.writing_folder(folder.path) as draft:
            for name, content in {CONTENTS: bundle.model_dump_json(indent=1).encode(), **found}.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(content)
    except OSError as error:
        raise ResultsError(f"{folder.path}: cannot be written: {files.reason(error)}") from error
    return bundle, folder


def _members(archive: Path) -> dict[str, bytes]:
    """The plain files of an archive, all of them below where it is unpacked, and not more than such an archive has."""
    found: dict[str, bytes] = {}
    n_left = FREE_BYTES + MAX_RATIO * _size(archive)
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                _check_member(archive, member, found)
                n_left -= member.size
                if n_left < 0 or (member.name == CONTENTS and member.size > MAX_CONTENTS_BYTES):
                    raise ResultsError(f"{archive}: unpacks to more than {MAX_RATIO} times its size", hint=REMEDY)
                file = tar.extractfile(member)
                found[member.name] = file.read() if file else b""
            while unpacked.read(2**20):  # to the checksum at its end
                n_left -= 2**20
                if n_left < 0:
                    raise ResultsError(f"{archive}: unpacks to more than {MAX_RATIO} times its size", hint=REMEDY)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise ResultsError(f"{archive}: is no whole .tar.gz: {files.reason(error)}", hint=REMEDY) from error
    return found


def _size(archive: Path) -> int:
    try:
        return archive.stat().st_size
    except OSError as error:
        raise ResultsError(f"{archive}: cannot be read: {files.reason(error)}", hint="name an archive") from error


def _check_member(archive: Path, member: tarfile.TarInfo, found: Mapping[str, bytes]) -> None:
    path = PurePosixPath(member.name)
    if not member.isreg() or member.sparse:
        raise ResultsError(f"{archive}: {member.name} is no plain file", hint=REMEDY)
    climbs = path.is_absolute() or ".." in path.parts or "\0" in member.name or not path.parts
    if climbs or path.as_posix() != member.name:
        raise ResultsError(f"{archive}: {member.name} would lie elsewhere than in its folder", hint=REMEDY)
    if member.name in found:
        raise ResultsError(f"{archive}: {member.name} is in it twice", hint=REMEDY)
    if any(parent.as_posix() in found for parent in path.parents):
        raise ResultsError(f"{archive}: {member.name} lies in a file", hint=REMEDY)
    if path.name.startswith(".") or path.name in LEFT_OUT and member.name != CONTENTS:
        raise ResultsError(f"{archive}: {member.name} is in no bundle", hint=REMEDY)


def copy_run(source: Path, target: Path) -> None:
    """Copy a run's folder without what is left out of bundles, whole or not at all.  Raises ResultsError."""
    try:
        with files.writing_folder(target) as draft:
            ignored = shutil.ignore_patterns(*LEFT_OUT, ".*")
            shutil.copytree(source, draft, ignore=ignored, symlinks=True)
    except (OSError, shutil.Error) as error:
        raise ResultsError(f"{target}: cannot be written: {files.reason(error)}") from error
