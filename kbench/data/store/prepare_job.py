"""The making of a data set: from which folders, with which files, into which folder."""

import hashlib
import urllib.error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kbench.data.registry import DatasetInfo
from kbench.errors import WorkloadError


@dataclass(frozen=True, kw_only=True)
class Official:
    """A file as its authors publish it."""

    name: str
    url: str  # of the file, or of the page that leads to it; empty: part of another file
    md5: str


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """What ``kbench data prepare`` was asked for."""

    dataset: str
    card: DatasetInfo
    folder: Path  # where the prepared data goes
    look_in: tuple[Path, ...]  # where files of others may lie
    download: bool = True
    workers: int = 1  # processes
    tell: Callable[[str], None] = lambda _: None  # progress, for a person

    def find(self, *names: str) -> Path | None:
        """The first file or folder of one of these names, in the order of the folders."""
        return next((p for place in self.look_in for p in (place / name for name in names) if p.exists()), None)

    def obtain(self, file: Official, *others: str) -> Path:
        """A file as published, under its name or one of ``others``; downloads it where it is missing."""
        found = self.find(file.name, *others)
        if found is not None:
            return found
        missing = f"{self.dataset}: {file.name} is not in {', '.join(map(str, self.look_in))}"
        if not self.download:
            raise WorkloadError(missing, hint=f"get it from {file.url}")
        return self._downloaded(file, missing)

    def _downloaded(self, file: Official, missing: str) -> Path:
        from torchvision.datasets.utils import download_url

        self.tell(f"{file.url} -> {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            download_url(file.url, self.folder, file.name, file.md5)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise WorkloadError(
                f"{missing}, and {file.url} cannot be had: {error}",
                hint="get it on a machine with network, put it there, and run this again",
            ) from None
        return self.folder / file.name

    def md5_of(self, path: Path) -> str:
        """MD5 of a file, as the authors of data sets give it."""
        self.tell(f"checking {path}")
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def settle(
    work: PrepareJob, counts: tuple[int, int], found: Sequence[tuple[Path, str, Official]]
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Decide whether files of (path, MD5, as published) are the official ones; returns sources and what was checked.

    Raises WorkloadError where the samples are as many as in the official set but a file is another: it is
    damaged.  Another number of samples is a set of the user's own, which every run of it says.
    """
    changed = [(path, md5, official) for path, md5, official in found if md5 != official.md5]
    if changed and counts == (work.card.n_train, work.card.n_val):
        path, md5, official = changed[0]
        raise WorkloadError(
            f"{path} is damaged or was changed: its MD5 is {md5}, the official file's {official.md5}",
            hint=f"get it again from {official.url}" if official.url else "get it again",
        )
    sources: dict[str, str | None] = {official.name: md5 for _, md5, official in found}
    return sources, () if changed else ("MD5 of the official files",)


def linked(work: PrepareJob, *names: str) -> None:
    """Make folders that lie elsewhere part of the data set's own, by symbolic links; raises WorkloadError."""
    for name in names:
        found = work.find(name)
        if found is None:
            raise WorkloadError(
                f"{work.dataset}: no folder {name} in {', '.join(map(str, work.look_in))}",
                hint="say where it lies: kbench data prepare --from DIR",
            )
        if found != work.folder / name:
            work.folder.mkdir(parents=True, exist_ok=True)
            (work.folder / name).symlink_to(found.resolve(), target_is_directory=True)
