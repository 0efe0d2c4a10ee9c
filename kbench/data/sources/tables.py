"""Tables of one's own with a column of images and one of labels: Parquet, and what Hugging Face's datasets write.

The files of both parts lie anywhere below one folder; the name of a file, or of a folder above it, says which part it
is: train, and validation, val or else test.  Images are encoded (bytes, or a struct with ``bytes``, as Hugging Face
stores them), or lists of lists of pixels.  Small ones of one size become arrays, sample ``i`` in row ``i``; others are
packed as they are, one after another, into a file that is read by an index (data set ``shards:NAME``).
"""

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kbench import files
from kbench.data.registry import HF
from kbench.data.store import arrays, images, index
from kbench.data.store.arrays import Content, LabelledImages, Pixels
from kbench.data.store.images import in_rgb
from kbench.data.store.index import Index, Location
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob, count_classes
from kbench.errors import WorkloadError
from kbench.files import reason

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = {"train": ("train", "training"), "val": ("validation", "valid", "val", "dev")}
INSTEAD = ("test", "testing")  # is validated on where there is no validation part
LABELS = ("label", "labels", "y", "target", "class", "fine_label")  # names of columns, in this order
MAX_PIXELS_BYTES = 2**34  # of arrays, in memory when they are made
GREY = ("1", "L", "I", "I;16", "I;16L", "I;16B")  # modes of Pillow with one channel


@dataclass(frozen=True)
class Table:
    """The files of one part, and the columns of them that are read."""

    paths: tuple[Path, ...]
    image: str
    label: str
    n_classes: int  # that the file names; 0: it names none

    def column(self, name: str) -> Iterator[Any]:
        """What the rows of a column hold, as Arrow has it."""
        for path in self.paths:
            for batch in _batches(path, [name]):
                yield from batch.column(0).to_pylist()


def prepare(job: PrepareJob) -> Manifest:
    """Make arrays of tables whose images are of one size."""
    tables = find(job)
    if tables is None:
        raise _missing(job)
    numbers = _numbers(job, tables)
    parts = {part: LabelledImages(_pixels(job, part, table), numbers[part]) for part, table in tables.items()}
    shapes = {part: each.x.shape[1:] for part, each in parts.items()}
    if shapes["train"] != shapes["val"]:
        raise WorkloadError(
            f"{job.dataset}: images are {shapes['train']} in train and {shapes['val']} in val", hint=_as_files(job)
        )
    sources: dict[str, str | None] = {
        f"{path.parent.name}/{path.name}": job.md5_of(path) for table in tables.values() for path in table.paths
    }
    checked = ("every image was decoded", "sizes of images and labels of both parts")
    n_classes = _n_classes(tables, numbers)
    return arrays.save(
        job.folder, job.dataset, Content(parts["train"], parts["val"], sources, checked), n_classes=n_classes
    )


def prepare_as_files(job: PrepareJob, tables: Mapping[str, Table]) -> Manifest:
    """Pack encoded images of tables, whatever their sizes, and index them; samples get ids in a random order."""
    numbers = _numbers(job, tables)
    job.folder.mkdir(parents=True, exist_ok=True)
    parts = {part: _packed(job, part, table, numbers[part]) for part, table in tables.items()}
    return images.save(job, parts, n_classes=_n_classes(tables, numbers))


def find(job: PrepareJob) -> dict[str, Table] | None:
    """Find the tables of both parts in the first of the job's folders that has some; None where none has.

    Raises:
        WorkloadError: A part is missing or lies in several folders, or its columns cannot be told.
    """
    for place in (*_own_places(job), *_cached(job.dataset)):
        found = {part: _files_of(place, names) for part, names in PARTS.items()}
        if not found["train"]:
            continue
        if not found["val"]:
            found["val"] = _files_of(place, INSTEAD)
            if not found["val"]:
                raise WorkloadError(
                    f"{job.dataset}: {place} has a part train and none to validate on",
                    hint="name its file validation.parquet",
                )
            job.report(f"{job.dataset}: no validation part in {place}; its test part is validated on")
        for part, paths in found.items():
            if len(folders := sorted({_home(path) for path in paths})) > 1:
                where = " and ".join(map(str, folders[:2]))
                raise WorkloadError(
                    f"{job.dataset}: {part} lies in {where}", hint=f"choose one of them: --from {folders[0]}"
                )
        return {part: _table(job, part, found[part]) for part in PARTS}
    return None


def _own_places(job: PrepareJob) -> list[Path]:
    """The job's folders that can be the data set's: a data root itself has others below it."""
    return [place for place in job.look_in if place == job.look_in[0] or job.info.folder in place.parts]


def _cached(dataset: str) -> list[Path]:
    """Where Hugging Face's programs keep what they fetched, of a data set of the hub."""
    if not dataset.startswith(HF):
        return []
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    name = dataset.removeprefix(HF).replace("--", "/")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"datasets--{name.replace('/', '--')}"
    built = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets") / name.replace("/", "___")
    try:
        newest = [hub / "snapshots" / (hub / "refs" / "main").read_text(encoding="utf-8").strip()]
    except OSError:
        newest = sorted((hub / "snapshots").glob("*"))[-1:]
    return [*newest, built]


def _files_of(place: Path, names: tuple[str, ...]) -> list[Path]:
    """The tables below a folder whose name, or a folder's above them, is or begins or ends with one of the names."""
    word = re.compile(rf"(?:^|[^a-z])(?:{'|'.join(names)})(?:[^a-z]|$)")
    paths = (path for ending in ("parquet", "arrow") for path in place.rglob(f"*.{ending}"))
    found = [path for path in paths if path.is_file() and not path.name.startswith(("cache-", "."))]
    by_file = [path for path in found if word.search(path.stem.lower())]
    return sorted(by_file or [path for path in found if word.search(path.parent.relative_to(place).as_posix().lower())])


def _home(path: Path) -> Path:
    """The folder that stands for a variant of a data set: that of a file, or above one for each part."""
    every = (*PARTS["train"], *PARTS["val"], *INSTEAD)
    return path.parent.parent if path.parent.name.lower() in every else path.parent


def _missing(job: PrepareJob) -> WorkloadError:
    name = job.dataset.removeprefix(HF).replace("--", "/")
    fetch = f"hf download --repo-type dataset {name} where there is network, or " if job.dataset.startswith(HF) else ""
    where = ", ".join(map(str, (*job.look_in, *_cached(job.dataset))))
    return WorkloadError(
        f"{job.dataset}: no train*.parquet or train*.arrow in {where}",
        hint=f"{fetch}say where they lie: kbench data prepare {job.dataset} --from DIR",
    )


# What the files hold


def _batches(path: Path, columns: list[str] | None) -> "Iterator[pa.RecordBatch]":
    """Batches of rows of a file; raises WorkloadError that names it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(1024, columns=columns)
            return
        with pa.memory_map(str(path)) as raw:
            yield from (batch.select(columns) for batch in pa.ipc.open_stream(raw))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise WorkloadError(f"{path} cannot be read: {reason(error)}", hint="get it again") from None


def _schema(path: Path) -> "pa.Schema":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as raw:
            return pa.ipc.open_stream(raw).schema
    except (pa.ArrowException, OSError) as error:
        raise WorkloadError(f"{path} cannot be read: {reason(error)}", hint="get it again") from None


def _table(job: PrepareJob, part: str, paths: list[Path]) -> Table:
    """Tell the columns of a part by their types, and those of labels by their names too."""
    schema = _schema(paths[0])
    other = next((path for path in paths if _schema(path).names != schema.names), None)
    if other:
        raise WorkloadError(f"{other}: its columns are others than those of {paths[0]}", hint="write them alike")
    pictures = [field.name for field in schema if _is_image(field.type)]
    numbers = [field.name for field in schema if _is_label(field.type)]
    named = [name for name in LABELS if name in numbers] or numbers
    for what, found, wanted in (
        ("images", pictures, "bytes, a struct with bytes, or lists of lists of whole numbers"),
        ("labels", named[:1] if named[0:1] and named[0] in LABELS else named, "whole numbers or text"),
    ):
        if len(found) != 1:
            columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
            several = (
                f"several columns can be the {what}: {', '.join(found)}" if found else f"no column of {what} ({wanted})"
            )
            hint = "rename the one that counts to label" if what == "labels" else "leave out the others"
            raise WorkloadError(f"{paths[0]}: {several}; it has {columns}", hint=hint)
    job.report(f"{job.dataset}: {part} is {len(paths)} files, images {pictures[0]}, labels {named[0]}")
    return Table(tuple(paths), pictures[0], named[0], _named_classes(schema, named[0]))


def _is_image(kind: "pa.DataType") -> bool:
    import pyarrow.types as types

    kind = getattr(kind, "storage_type", kind)  # Hugging Face's arrays are an extension of nested lists
    if types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    if types.is_binary(kind) or types.is_large_binary(kind):
        return True
    depth = 0
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth in (2, 3) and types.is_integer(kind)


def _is_label(kind: "pa.DataType") -> bool:
    import pyarrow.types as types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return any(check(kind) for check in (types.is_integer, types.is_boolean, types.is_string, types.is_large_string))


def _named_classes(schema: "pa.Schema", label: str) -> int:
    """How many classes Hugging Face's description of the columns names; 0 where there is none."""
    try:
        described = json.loads((schema.metadata or {})[b"huggingface"])
        return len(described["info"]["features"][label]["names"])
    except (KeyError, ValueError, TypeError):
        return 0


def _numbers(job: PrepareJob, tables: Mapping[str, Table]) -> dict[str, NDArray[np.int64]]:
    """Labels of both parts as (n,) numbers from 0; text is numbered in the order of the training part's words."""
    found = {part: list(table.column(table.label)) for part, table in tables.items()}
    names = sorted({each for each in found["train"] if isinstance(each, str)})
    known = {word: number for number, word in enumerate(names)}
    numbers = {}
    for part, labels in found.items():
        for row, label in enumerate(labels):
            where = f"{job.dataset}: row {row:,} of {part}"
            if isinstance(label, str) and label not in known:
                raise WorkloadError(f"{where} has the label {label[:40]!r}, which no row of train has")
            if label is None or (not isinstance(label, str) and (label < 0 or names)):
                raise WorkloadError(f"{where} must have a class, counted from 0, got {label}")
        numbers[part] = np.array([known.get(label, label) for label in labels], np.int64)
    n_classes = count_classes(job.dataset, numbers["train"], numbers["val"])
    if n_classes > 1 and bool((np.diff(numbers["train"]) >= 0).all()):
        job.report(
            f"warning: {job.dataset}: rows of train are sorted by class; ties go to the lower row, so that a method "
            "may leave out whole classes first: shuffle the table once"
        )
    return numbers


def _n_classes(tables: Mapping[str, Table], numbers: Mapping[str, NDArray[np.int64]]) -> int:
    return max(tables["train"].n_classes, 1 + int(numbers["train"].max(initial=0)))


# Images


def _pixels(job: PrepareJob, part: str, table: Table) -> Pixels:
    """All images of a part: (n, c, h, w), of one channel where every image is grey."""
    decoded: list[NDArray[np.uint8]] = []
    n_bytes = 0
    for row, value in enumerate(table.column(table.image)):
        where = f"{job.dataset}: row {row:,} of {part}"
        image = _decoded(value, where)
        if decoded and image.shape[-2:] != decoded[0].shape[-2:]:
            sizes = " and ".join("x".join(map(str, each.shape[-2:])) for each in (decoded[0], image))
            raise WorkloadError(f"{where}: images are of several sizes, {sizes}", hint=_as_files(job))
        decoded.append(image)
        n_bytes += image.nbytes
        if n_bytes > MAX_PIXELS_BYTES:
            raise WorkloadError(f"{where}: pixels of more than {MAX_PIXELS_BYTES >> 30} GiB", hint=_as_files(job))
    if not decoded:
        raise WorkloadError(f"{job.dataset}: {part} has no rows")
    n_channels = max(len(image) for image in decoded)
    return np.stack([np.broadcast_to(image, (n_channels, *image.shape[1:])) for image in decoded])


def _decoded(value: Any, where: str) -> NDArray[np.uint8]:
    """One image (c, h, w): c is 1 for grey and 3 for colour."""
    if isinstance(value, list):
        return _of_lists(value, where)
    raw = _encoded(value, where)
    try:
        with Image.open(io.BytesIO(raw)) as image:
            rgb = in_rgb(image)
            pixels = np.asarray(rgb.convert("L") if image.mode in GREY else rgb)
    except Exception as error:  # a damaged image can raise anything
        raise WorkloadError(f"{where} is damaged: {reason(error)}", hint="get it again") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _of_lists(value: list[Any], where: str) -> NDArray[np.uint8]:
    try:
        pixels = np.array(value)
        whole = np.issubdtype(pixels.dtype, np.integer) and 0 <= pixels.min() and pixels.max() <= 255
    except ValueError:  # rows of several lengths
        pixels, whole = np.zeros(0), False
    if pixels.ndim == 3 and pixels.shape[0] not in (1, 3) and pixels.shape[2] in (1, 3):
        pixels = pixels.transpose(2, 0, 1)
    if not whole or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[0] not in (1, 3)):
        raise WorkloadError(
            f"{where} must be (height, width), (1 or 3, height, width) or (height, width, 1 or 3) of 0 to 255, "
            f"got {pixels.dtype} {pixels.shape}"
        )
    return pixels.astype(np.uint8)[None] if pixels.ndim == 2 else pixels.astype(np.uint8)


def _encoded(value: Any, where: str) -> bytes:
    """The bytes of an image file, as the column holds them."""
    raw = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(raw, bytes):
        path = value.get("path") if isinstance(value, dict) else None
        what = f"only the path {path}" if path else "no image"
        raise WorkloadError(f"{where} holds {what}", hint="write the table with the bytes of the images")
    return raw


def _packed(job: PrepareJob, part: str, table: Table, labels: NDArray[np.int64]) -> Index:
    """Write the encoded images of a part one after another, and say where each lies."""
    name, found, offset = f"{part}.images", [], 0
    with files.writing(job.folder / name) as draft, draft.open("wb") as file:
        for row, value in enumerate(table.column(table.image)):
            raw = _encoded(value if not isinstance(value, list) else None, f"{job.dataset}: row {row:,} of {part}")
            file.write(raw)
            found.append(Location(0, offset, len(raw), int(labels[row])))
            offset += len(raw)
    return index.shuffled([name], found)


def _as_files(job: PrepareJob) -> str:
    name = job.info.folder
    return f"keep them as files: kbench data prepare shards:{name} --from DIR, and dataset: shards:{name}"
