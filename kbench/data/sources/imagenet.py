"""ImageNet-1K of ILSVRC 2012, in any of the three forms in which it is kept.

* ``train/WNID/*.JPEG`` and ``val/WNID/*.JPEG``, as after the usual script;
* the same with ``val/*.JPEG`` in one folder, and the development kit (ILSVRC2012_devkit_t12.tar.gz or unpacked);
* the official tars ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar and the development kit: they are
  read in place, and need not be unpacked into 1.3 million files.

Classes are numbered in the order of their WNIDs, as torchvision does.  Names and checksums of the official files are
torchvision's.
"""

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

from torchvision.datasets.imagenet import ARCHIVE_META

from kbench.data.sources import image_folders
from kbench.data.store import index
from kbench.data.store.images import save
from kbench.data.store.index import Location
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, compare_with_official, read_archive
from kbench.errors import WorkloadError

PAGE = "https://image-net.org/download"
TRAIN, VAL, DEVKIT = (
    Official(name=name, url=PAGE, md5=md5) for name, md5 in (ARCHIVE_META[part] for part in ("train", "val", "devkit"))
)
UNPACKED = "ILSVRC2012_devkit_t12"
META, TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
VAL_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


def prepare(job: PrepareJob) -> Manifest:
    """Index the images where they lie."""
    if job.find("train") is None and job.find(TRAIN.name) is not None:
        return _tars(job)
    job.link_folders("train", "val")
    wnids = image_folders.subfolders(job.folder / "train")
    val = job.folder / "val"
    flat = [path for path, _ in image_folders.images(val) if path.parent == val]
    if not flat:
        return image_folders.prepare(job)
    found = [_validation(path.name, path.stat().st_size, 0, i) for i, path in enumerate(flat)]
    names = [f"val/{path.name}" for path in flat]
    parts = {
        "train": image_folders.scan(job.folder, "train", wnids),
        "val": index.shuffled(names, _labelled(job, found, wnids)),
    }
    image_folders.report_left_out(job, flat=True)
    return save(job, parts, n_classes=len(wnids), trees=("train", "val"))


def _tars(job: PrepareJob) -> Manifest:
    train, val = (_linked_file(job, file) for file in (TRAIN, VAL))
    job.report(f"{job.dataset}: reading the headers of {train.name} and {val.name}")
    wnids, found = _classes(train)
    val_found = [_validation(name, size, offset, 0) for name, offset, size in _members(val)]
    parts = {
        "train": index.shuffled([train.name], found),
        "val": index.shuffled([val.name], _labelled(job, val_found, wnids)),
    }
    counts = (len(parts["train"]), len(parts["val"]))
    files = [(path, job.md5_of(path), file) for path, file in ((train, TRAIN), (val, VAL))]
    _, checked = compare_with_official(job, counts, files)
    return save(job, parts, n_classes=len(wnids), checked=checked)


def _linked_file(job: PrepareJob, file: Official) -> Path:
    found = job.find(file.name)
    if found is None:
        raise WorkloadError(f"{job.dataset}: {file.name} is not in {job.searched}", hint=f"get it from {file.url}")
    return job.link(found, file.name)


def _members(path: Path, *, start: int = 0, size: int | None = None) -> list[tuple[str, int, int]]:
    """The files in a tar, or in one of ``size`` bytes at ``start`` in a file: name, offset in the file, size."""
    try:
        with path.open("rb") as file:
            file.seek(start)  # tarfile reads from where the file stands
            with tarfile.open(fileobj=file, mode="r:") as tar:
                members = [member for member in tar if not member.isdir()]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise WorkloadError(f"{path} is no whole tar: {error}", hint="get it again") from None
    odd = next((member.name for member in members if not member.isreg() or member.sparse), None)
    if odd:
        raise WorkloadError(f"{path}: {odd} is no plain file, and cannot be read in place", hint="get it again")
    found = [(member.name, member.offset_data, member.size) for member in members]
    if size is not None and any(offset + n > start + size for _, offset, n in found):
        raise WorkloadError(f"{path} is no whole tar: the one at byte {start} has no end", hint="get it again")
    return found


def _classes(train: Path) -> tuple[list[str], list[Location]]:
    """The classes in the tar of tars, and their images."""
    inner = sorted(_members(train))
    found: list[Location] = []
    for label, (name, offset, size) in enumerate(inner):
        if not name.endswith(".tar"):
            raise WorkloadError(f"{train} must hold a tar for each class, got {name}", hint=f"get it from {PAGE}")
        found += [Location(0, o, s, label) for _, o, s in _members(train, start=offset, size=size)]
    return [Path(name).stem for name, _, _ in inner], found


def _validation(name: str, size: int, offset: int, file: int) -> Location:
    """A validation image with its number, 1 to 50,000, where its label will be."""
    number = VAL_NAME.fullmatch(Path(name).name)
    if number is None:
        raise WorkloadError(f"val/{name}: images of one folder must be called ILSVRC2012_val_00000001.JPEG and so on")
    return Location(file, offset, size, int(number[1]))


def _labelled(job: PrepareJob, found: list[Location], wnids: list[str]) -> list[Location]:
    """Put the labels of the development kit where the numbers of the validation images stand."""
    read_file, where = _devkit(job)
    of_id = _wnids(read_file(META), where)
    truth = [int(line) for line in read_file(TRUTH).decode().split()]
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    for sample in found:
        if not (1 <= sample.label <= len(truth)):
            raise WorkloadError(f"{where}: {TRUTH} has {len(truth)} lines, and there is an image {sample.label}")
        wnid = of_id.get(truth[sample.label - 1], "?")
        if wnid not in labels:
            raise WorkloadError(f"{job.dataset}: validation image {sample.label} is of class {wnid}, which train lacks")
    return [sample._replace(label=labels[of_id[truth[sample.label - 1]]]) for sample in found]


def _devkit(job: PrepareJob) -> tuple[Callable[[str], bytes], Path]:
    """Find the development kit, packed or not: what reads a file of it, and where it lies."""
    folder, archive = job.find(UNPACKED), job.find(DEVKIT.name)
    if folder is not None:
        return (lambda name: (folder / name).read_bytes()), folder
    if archive is None:
        raise WorkloadError(
            f"{job.dataset}: the classes of the validation images are in {DEVKIT.name}, "
            f"which is not in {job.searched}",
            hint=f"get it from {DEVKIT.url}, or sort val into folders of classes",
        )
    files = read_archive(archive)
    lacks = next((name for name in (META, TRUTH) if f"{UNPACKED}/{name}" not in files), None)
    if lacks:
        raise WorkloadError(f"{archive} holds no {UNPACKED}/{lacks}", hint="get it again")
    return (lambda name: files[f"{UNPACKED}/{name}"]), archive


def _wnids(meta: bytes, where: Path) -> dict[int, str]:
    """The WNID of each ILSVRC id that is a class and not a group of classes."""
    from scipy.io import loadmat

    try:
        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]  # type: ignore[arg-type]
        return {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if int(s["num_children"]) == 0}
    except Exception as error:  # a damaged file can raise anything
        raise WorkloadError(f"{where}: {META} is damaged: {error}", hint="get it again") from None
