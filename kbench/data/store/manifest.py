"""The manifest of a prepared data set: a file beside the data that says what it holds and what was checked."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import kbench
from kbench import files
from kbench.data.registry import DatasetInfo
from kbench.errors import WorkloadError

NAME = "kbench-data.json"


class Manifest(BaseModel):
    """A prepared data set.  Counts are of samples; sizes are in bytes, paths relative to the manifest's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    dataset: str
    n_train: int
    n_val: int
    n_classes: int
    shape: tuple[int, int, int]  # channels, height, width; height and width are 0 where every sample has its own
    checked: tuple[str, ...]  # what was looked at, in words
    sources: dict[str, str | None] = {}  # MD5 of the files that it was made from; null: not looked at
    files: dict[str, int]  # what training reads: size of each; of a million images, some
    trees: tuple[str, ...] = ()  # folders that training reads as a whole
    digests: dict[str, str] = {}  # BLAKE2b of files in which a changed byte shows nowhere
    kbench_version: str = kbench.__version__
    made_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def identity(self) -> str:
        """Twelve hex digits of the arrays, or of names, sizes and labels; others, in all likelihood, for other data."""
        lines = [self.dataset, str(self.n_train), str(self.n_val), *map(str, sorted(self.digests.items()))]
        return hashlib.blake2b("\n".join(lines).encode(), digest_size=6).hexdigest()

    def applied_to(self, info: DatasetInfo) -> DatasetInfo:
        """The entry of the data set with the counts and the shape of what is really there."""
        shape = self.shape if self.shape[1] else (self.shape[0], *info.shape[1:])
        return replace(info, n_train=self.n_train, n_val=self.n_val, n_classes=self.n_classes, shape=shape)

    def note(self, info: DatasetInfo) -> str | None:
        """One sentence where the data is not the official one in number; None where it is, or none is official."""
        if not (info.n_train and info.n_val) or (self.n_train, self.n_val) == (info.n_train, info.n_val):
            return None
        return (
            f"{self.dataset}: {self.n_train:,} training and {self.n_val:,} validation samples of a set of one's own, "
            f"not the official {info.n_train:,} and {info.n_val:,}"
        )


def read(folder: Path) -> Manifest | None:
    """Read the manifest in a data set's folder; None where there is none.

    Raises:
        WorkloadError: It is damaged, or cannot be read.
    """
    path = folder / NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise WorkloadError(f"{path} cannot be read: {first}", hint="make it anew: kbench data prepare") from None


def write(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest into a data set's folder, whole or not at all, and return it."""
    files.write(folder / NAME, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def misfits(folder: Path, manifest: Manifest, *, at_most: int | None = None) -> list[str]:
    """Sentences: files that are missing or not of the size that the manifest says.

    Looks at ``at_most`` files, evenly spread; None: at all of them.
    """
    found, names = [], list(manifest.files)
    step = max(1, len(names) // at_most) if at_most else 1
    for name in names[::step]:
        size = manifest.files[name]
        path = folder / name
        try:
            size_now = path.stat().st_size
        except OSError:
            found.append(f"{manifest.dataset}: {path} is missing")
            continue
        if size_now != size:
            found.append(f"{manifest.dataset}: {path} has {size_now:,} bytes, {size:,} when it was prepared")
    return found


def changed(folder: Path, manifest: Manifest) -> list[str]:
    """Sentences: files that are not what they were when the manifest was made; reads all that have a digest."""
    wrong = misfits(folder, manifest)
    for name, was in manifest.digests.items():
        path = folder / name
        if path.exists() and manifest.files.get(name) == path.stat().st_size and digest(path) != was:
            wrong.append(f"{manifest.dataset}: {path} has changed since it was prepared")
    return wrong


def digest(path: Path) -> str:
    """BLAKE2b of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
