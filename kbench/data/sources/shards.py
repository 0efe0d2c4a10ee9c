"""Tar shards in the manner of WebDataset, read in place: ``train-*.tar`` and ``val-*.tar``.

A sample is two members of one key: ``KEY.jpg`` (or another image) and ``KEY.cls`` with the number of its class.
Nothing is extracted; an index remembers at which byte each image lies.
"""

import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from kbench.data.image_reader import ENDINGS
from kbench.data.store import index
from kbench.data.store.index import Found, Index
from kbench.data.store.indexed import PARTS, keep
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import WorkloadError

END_BYTES = 1024  # of zeros, with which a whole tar ends
REMEDY = "get or make it again, uncompressed"

Entry = tuple[int, int, int]  # offset, size, label


def prepare(work: PrepareJob) -> Manifest:
    """Index the shards of both parts."""
    parts = {part: _part(work, part) for part in PARTS}
    n_classes = 1 + max(int(part.label.max(initial=0)) for part in parts.values())
    known = int(parts["train"].label.max(initial=0))
    if n_classes > 1 + known:
        raise WorkloadError(f"{work.folder}: val has a class {n_classes - 1}, the classes of train end at {known}")
    return keep(work, parts, n_classes=n_classes)


def _part(work: PrepareJob, part: str) -> Index:
    base = next((place for place in work.look_in if any(place.glob(f"{part}-*.tar"))), None)
    if base is None:
        looked = ", ".join(map(str, work.look_in))
        raise WorkloadError(
            f"{work.dataset}: no {part}-*.tar in {looked}", hint="say where they lie: kbench data prepare --from DIR"
        )
    paths = sorted(base.glob(f"{part}-*.tar"))
    if base != work.folder:
        work.folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            (work.folder / path.name).symlink_to(path.resolve())
    work.tell(f"{work.dataset}: reading the headers of {len(paths)} {part} shards")
    found = []
    for file, entries in enumerate(_each(paths, work.workers)):
        found += [Found(file, *entry) for entry in entries]
    return index.shuffled([path.name for path in paths], found)


def _each(paths: list[Path], workers: int) -> list[list[Entry]]:
    if workers <= 1 or len(paths) < 2:
        return list(map(entries, paths))
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(entries, paths))


def entries(path: Path) -> list[Entry]:
    """The samples of one shard, in order.  Raises WorkloadError that names the file."""
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isfile():
                    _note(path, tar, member, images, labels)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise WorkloadError(f"{path} is no whole tar: {error}", hint=REMEDY) from None
    _check_end(path)
    alone = sorted(images.keys() ^ labels.keys())
    if alone:
        lacks = "class (.cls)" if alone[0] in images else f"image ({' '.join(ENDINGS)})"
        raise WorkloadError(f"{path}: {alone[0]} has no {lacks}")
    return [(*place, labels[key]) for key, place in images.items()]


def _note(
    path: Path,
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    images: dict[str, tuple[int, int]],
    labels: dict[str, int],
) -> None:
    folder, slash, base = member.name.rpartition("/")
    stem, dot, ending = base.partition(".")
    key = folder + slash + stem
    if (dot + ending).lower() in ENDINGS:
        images[key] = member.offset_data, member.size
    elif ending == "cls":
        file = tar.extractfile(member)
        text = file.read().decode(errors="replace").strip() if file else ""
        if not text.isascii() or not text.isdigit():
            raise WorkloadError(f"{path}: {member.name} must hold the number of a class, got {text[:40]!r}")
        labels[key] = int(text)


def _check_end(path: Path) -> None:
    """A tar that was cut between two members looks whole but for its missing end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        if file.read().strip(b"\0") or path.stat().st_size < END_BYTES:
            raise WorkloadError(f"{path} is truncated: it does not end as a tar does", hint=REMEDY)
