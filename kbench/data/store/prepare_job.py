"""Making a data set ready: from which folders, with which files, into which folder."""

import gzip
import io
import tarfile
import urllib.error
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kbench.data.registry import DatasetInfo
from kbench.errors import WorkloadError

MAX_UNPACKED = 2**30  # bytes; what is published has less than half of that


@dataclass(frozen=True, kw_only=True)
class Official:
    """A file as its authors publish it."""

    name: str
    url: str  # of the file, or of the page that leads to it; empty: part of another file
    md5: str


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """What ``kbench data prepare`` is to make ready, and where it finds the files."""

    dataset: str
    info: DatasetInfo
    folder: Path  # where the prepared data goes
    look_in: tuple[Path, ...]  # where the files of its authors may lie
    download: bool = True
    workers: int = 1  # processes
    report: Callable[[str], None] = lambda _: None  # progress, for a person

    def find(self, *names: str) -> Path | None:
        """The first file or folder of one of these names, in the order of the folders."""
        return next((p for place in self.look_in for p in (place / name for name in names) if p.exists()), None)

    def obtain(self, file: Official, *others: str) -> Path:
        """Find a file as published, under its name or one of ``others``; download it where it is missing.

        Raises:
            WorkloadError: It is not there and must not, or cannot, be downloaded.
        """
        found = self.find(file.name, *others)
        if found is not None:
            return found
        missing = f"{self.dataset}: {file.name} is not in {self.searched}"
        if not self.download:
            raise WorkloadError(missing, hint=f"get it from {file.url}")
        return self._downloaded(file, missing)

    def _downloaded(self, file: Official, missing: str) -> Path:
        from torchvision.datasets.utils import download_url

        self.report(f"{file.url} -> {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            download_url(file.url, self.folder, file.name, file.md5)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise WorkloadError(
                f"{missing}, and {file.url} cannot be had: {error}",
                hint="get it on a machine with network, put it there, and run this again",
            ) from None
        return self.folder / file.name

    @property
    def searched(self) -> str:
        """The folders that were looked in, for an error."""
        return ", ".join(map(str, self.look_in))

    def md5_of(self, path: Path) -> str:
        """MD5 of a file, as the authors of data sets give it."""
        from torchvision.datasets.utils import calculate_md5

        self.report(f"checking {path}")
        return str(calculate_md5(path))

    def link_folders(self, *names: str) -> None:
        """Make folders that lie elsewhere part of the data set's own, by symbolic links.

        Raises:
            WorkloadError: One of them is in none of the folders that are looked in.
        """
        for name in names:
            found = self.find(name)
            if found is None:
                raise WorkloadError(
                    f"{self.dataset}: no folder {name} in {self.searched}",
                    hint="say where it lies: kbench data prepare --from DIR",
                )
            self.link(found, name)

    def link(self, found: Path, name: str) -> Path:
        """Make a file or a folder that lies elsewhere part of the data set's own; returns its place there."""
        path = self.folder / name
        if found != path and path.resolve() != found.resolve():
            if path.is_symlink() or path.exists():
                raise WorkloadError(
                    f"{path} is there and is not {found}", hint="remove it, or leave out --from to use what is there"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            path.symlink_to(found.resolve(), target_is_directory=found.is_dir())
        return path


def compare_with_official(
    job: PrepareJob, counts: tuple[int, int], found: Sequence[tuple[Path, str, Official]], *, of: str = "it"
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Decide whether files are the official ones.

    Another number of samples is a set of the user's own, which every run of it says.

    Args:
        job: What is being made ready.
        counts: Training and validation samples in the files.
        found: Path, MD5 and the file as published, of each.
        of: What the MD5 is of, in words.

    Returns:
        The MD5 of each file by its name, and what was checked, in words.

    Raises:
        WorkloadError: There are as many samples as in the official set, but a file differs: it is damaged.
    """
    changed = [(path, md5, official) for path, md5, official in found if md5 != official.md5]
    if changed and counts == (job.info.n_train, job.info.n_val):
        path, md5, official = changed[0]
        raise WorkloadError(
            f"{path} is damaged, was changed or is of another data set: the MD5 of {of} is {md5}, "
            f"the official file's {official.md5}",
            hint=f"get it again from {official.url}" if official.url else "get it again",
        )
    sources: dict[str, str | None] = {official.name: md5 for _, md5, official in found}
    return sources, () if changed else ("MD5 of the official files",)


def count_classes(where: object, train: NDArray[np.int64], val: NDArray[np.int64]) -> int:
    """Count the classes of the training labels, (n,) from 0; raises WorkloadError where ``val`` has another one."""
    highest, most = int(val.max(initial=0)), int(train.max(initial=0))
    if highest > most:
        raise WorkloadError(f"{where}: val has a class {highest}, the classes of train end at {most}")
    return 1 + most


def unpack(path: Path) -> bytes:
    """Unpack a .gz of some hundred megabytes into memory.

    Raises:
        WorkloadError: It unpacks to more than such a file does.
        OSError, EOFError, zlib.error: It is damaged.
    """
    with gzip.open(path) as file:
        raw = file.read(MAX_UNPACKED + 1)
    if len(raw) > MAX_UNPACKED:
        raise WorkloadError(f"{path} unpacks to more than {MAX_UNPACKED >> 20} MiB", hint="get it again")
    return raw


def read_archive(path: Path) -> dict[str, bytes]:
    """Read all files in a .tar.gz of some hundred megabytes into memory, by their names.

    It is unpacked to its last byte, as the checksum of gzip stands at the end, where tarfile does not look.

    Raises:
        WorkloadError: The archive is damaged.
    """
    try:
        raw = unpack(path)
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            plain = [member for member in tar if member.isreg() and not member.sparse]
            files = {member.name.removeprefix("./"): tar.extractfile(member) for member in plain}
            return {name: file.read() for name, file in files.items() if file}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise WorkloadError(f"{path} is damaged: {error}", hint="get it again") from None
