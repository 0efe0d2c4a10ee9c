"""MNIST: IDX files, gzipped or not.

Names and checksums of the official files are torchvision's.  Its reader is not used, as it takes unpacked files
only, and says nothing of what is wrong with one.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torchvision.datasets import MNIST

from kbench.data.store.arrays import Content, LabelledImages, save
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, compare_with_official, unpack
from kbench.errors import WorkloadError

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FILES = tuple(Official(name=name, url=MIRROR + name, md5=md5) for name, md5 in MNIST.resources)  # train, then test
# MD5 of what is in them: Fashion-MNIST's have the same names and sizes, and whoever packs anew gets other files.
CONTENTS = (
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
)


def prepare(job: PrepareJob) -> Manifest:
    """Make arrays of MNIST."""
    return save(job.folder, job.dataset, read(job), n_classes=10)


def read(job: PrepareJob, files: Sequence[Official] = FILES, contents: Sequence[str] = CONTENTS) -> Content:
    """Read and check the files.

    Args:
        job: What is being made ready.
        files: Images and labels to train on, then those to validate on, as they are published.
        contents: MD5 of what is in each.
    """
    paths = [job.obtain(file, file.name.removesuffix(".gz")) for file in files]
    raws = [read_raw(path) for path in paths]
    images, labels, val_images, val_labels = map(read_idx, paths, raws)
    train = _part(paths[0], images, paths[1], labels)
    val = _part(paths[2], val_images, paths[3], val_labels)
    found = []
    for path, raw, file, md5 in zip(paths, raws, files, contents, strict=True):
        job.report(f"checking {path}")
        found.append((path, hashlib.md5(raw, usedforsecurity=False).hexdigest(), replace(file, md5=md5)))
    sources, checked = compare_with_official(job, (len(train.y), len(val.y)), found, of="what is in it, unpacked,")
    return Content(train, val, sources, (*checked, "types, shapes and labels of every file"))


def _part(images: Path, x: np.ndarray, labels: Path, y: np.ndarray) -> LabelledImages:
    if x.ndim != 3 or x.shape[1:] != (28, 28):
        raise WorkloadError(f"{images} must hold images of 28x28, got {x.shape}")
    if y.shape != (len(x),):
        raise WorkloadError(f"{labels} must hold {len(x)} labels, got {y.shape}")
    if len(y) and y.max() > 9:
        raise WorkloadError(f"{labels}: labels must be 0 to 9, got {y.max()}")
    return LabelledImages(x[:, None], y.astype(np.int64))


def read_raw(path: Path) -> bytes:
    """What is in a file that may be gzipped.  Raises WorkloadError that names it."""
    try:
        return unpack(path) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise WorkloadError(f"{path} is damaged: {error}", hint="get it again") from None


def read_idx(path: Path, raw: bytes) -> np.ndarray:
    """The array of unsigned bytes in an IDX file: two zeros, type 8, number of dimensions, sizes, bytes.

    Args:
        path: Its name, for errors.
        raw: What is in it, unpacked.
    """
    n_dims = raw[3] if len(raw) > 3 else 0
    start = 4 + 4 * n_dims
    if raw[:3] != b"\x00\x00\x08" or len(raw) < start:
        raise WorkloadError(f"{path} is no IDX file of bytes: it begins with {raw[:4].hex()}", hint="get it again")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", n_dims, 4))
    if len(raw) - start != np.prod(shape):
        raise WorkloadError(
            f"{path}: {shape} needs {np.prod(shape)} bytes, got {len(raw) - start}", hint="get it again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
