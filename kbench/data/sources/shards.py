"""Tar shards as WebDataset writes them, read in place: ``train-*.tar`` and ``val-*.tar``.

A sample is two members of one key: ``KEY.jpg`` (or another image) and ``KEY.cls`` with the number of its class.
Nothing is extracted; an index says at which byte each image lies.  Tables (Parquet, Hugging Face) are packed instead.
"""

import tarfile
from pathlib import Path

from kbench.data.sources import tables
from kbench.data.store import index
from kbench.data.store.images import ENDINGS, PARTS, save
from kbench.data.store.index import Index, Location
from kbench.data.store.manifest import Manifest
from kbench.data.store.parallel import in_order
from kbench.data.store.prepare_job import PrepareJob, count_classes
from kbench.errors import WorkloadError

END_BYTES = 1024  # of zeros, with which a whole tar ends
MAX_LABEL_BYTES = 64  # of a member that holds the number of a class
REMEDY = "get or make it again, uncompressed"

Sample = tuple[int, int, int]  # offset [byte], size [byte], label


def prepare(job: PrepareJob) -> Manifest:
    """Index the shards of both parts, or pack the images of tables."""
    if not any(any(place.glob("train-*.tar")) for place in job.look_in) and (found := tables.find(job)):
        return tables.prepare_as_files(job, found)
    parts = {part: _part(job, part) for part in PARTS}
    n_classes = count_classes(job.folder, parts["train"].label, parts["val"].label)
    return save(job, parts, n_classes=n_classes)


def _part(job: PrepareJob, part: str) -> Index:
    base = next((place for place in job.look_in if any(place.glob(f"{part}-*.tar"))), None)
    if base is None:
        raise WorkloadError(
            f"{job.dataset}: no {part}-*.tar in {job.searched}",
            hint="say where they lie: kbench data prepare --from DIR",
        )
    paths = sorted(base.glob(f"{part}-*.tar"))
    for path in paths:
        job.link(path, path.name)
    job.report(f"{job.dataset}: reading the headers of {len(paths)} {part} shards")
    found = []
    for file, samples in enumerate(in_order(read_shard, paths, workers=job.workers if len(paths) > 1 else 1)):
        found += [Location(file, *sample) for sample in samples]
    return index.shuffled([path.name for path in paths], found)


def read_shard(path: Path) -> list[Sample]:
    """Read where the samples of one shard lie, in order.  Raises WorkloadError that names the file."""
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    dotted: dict[str, str] = {}  # members with further dots in their names, by key
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isdir():
                    _note(path, tar, member, images, labels, dotted)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise WorkloadError(f"{path} is no whole tar: {error}", hint=REMEDY) from None
    _check_end(path)
    lost = next((name for key, name in dotted.items() if key not in images or key not in labels), None)
    if lost:
        raise WorkloadError(
            f"{path}: {lost}: its key ends at the first dot of its name, so that it belongs to no sample",
            hint="write the shard again with keys without dots",
        )
    unpaired = sorted(images.keys() ^ labels.keys())
    if unpaired:
        lacks = "class (.cls)" if unpaired[0] in images else f"image ({' '.join(ENDINGS)})"
        raise WorkloadError(f"{path}: {unpaired[0]} has no {lacks}")
    return [(*place, labels[key]) for key, place in images.items()]


def _note(
    path: Path,
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    images: dict[str, tuple[int, int]],
    labels: dict[str, int],
    dotted: dict[str, str],
) -> None:
    if not member.isreg() or member.sparse:
        raise WorkloadError(f"{path}: {member.name} is no plain file, and cannot be read in place", hint=REMEDY)
    folder, slash, base = member.name.rpartition("/")
    stem, dot, ending = base.partition(".")
    key = folder + slash + stem
    if key in images and (dot + ending).lower() in ENDINGS or key in labels and ending == "cls":
        raise WorkloadError(
            f"{path}: {member.name} comes after another one of its key, and only one of them can be the sample's",
            hint="write the shard again, a key for each sample",
        )
    if "." in ending and ("." + ending.rpartition(".")[2]).lower() in (*ENDINGS, ".cls"):
        dotted.setdefault(key, member.name)
    if (dot + ending).lower() in ENDINGS:
        images[key] = member.offset_data, member.size
    elif ending == "cls":
        file = tar.extractfile(member)
        text = file.read(MAX_LABEL_BYTES).decode(errors="replace").strip() if file else ""
        if not text.isascii() or not text.isdigit() or member.size > MAX_LABEL_BYTES:
            raise WorkloadError(f"{path}: {member.name} must hold the number of a class, got {text[:40]!r}")
        labels[key] = int(text)


def _check_end(path: Path) -> None:
    """A tar that was cut between two members looks whole but for its missing end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        if file.read().strip(b"\0") or path.stat().st_size < END_BYTES:
            raise WorkloadError(f"{path} is truncated: it does not end as a tar does", hint=REMEDY)
