"""MNIST: IDX files, gzipped or not.

Names and checksums of the official files are torchvision's.  Its reader is not used, as it takes unpacked files
only, and says nothing of what is wrong with one.
"""

import zlib
from pathlib import Path

import numpy as np
from torchvision.datasets import MNIST

from kbench.data.store.arrays import Content, LabelledImages, save
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, compare_with_official, unpack
from kbench.errors import WorkloadError

# Of the files unpacked: Fashion-MNIST's have the same names and sizes.
CONTENTS = (
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
)
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FILES = tuple(Official(name=name, url=MIRROR + name, md5=md5) for name, md5 in MNIST.resources)  # train, then test
UNPACKED = tuple(
    Official(name=file.name.removesuffix(".gz"), url=file.url, md5=md5)
    for file, md5 in zip(FILES, CONTENTS, strict=True)
)


def prepare(job: PrepareJob) -> Manifest:
    """Make arrays of MNIST."""
    return save(job.folder, job.dataset, read(job), n_classes=10)


def read(job: PrepareJob) -> Content:
    """Read and check the files."""
    paths = [job.obtain(file, file.name.removesuffix(".gz")) for file in FILES]
    images, labels, val_images, val_labels = map(read_idx, paths)
    train = _part(paths[0], images, paths[1], labels)
    val = _part(paths[2], val_images, paths[3], val_labels)
    published = [
        packed if path.suffix == ".gz" else unpacked
        for path, packed, unpacked in zip(paths, FILES, UNPACKED, strict=True)
    ]
    found = [(path, job.md5_of(path), file) for path, file in zip(paths, published, strict=True)]
    sources, checked = compare_with_official(job, (len(train.y), len(val.y)), found)
    return Content(train, val, sources, (*checked, "types, shapes and labels of every file"))


def _part(images: Path, x: np.ndarray, labels: Path, y: np.ndarray) -> LabelledImages:
    if x.ndim != 3 or x.shape[1:] != (28, 28):
        raise WorkloadError(f"{images} must hold images of 28x28, got {x.shape}")
    if y.shape != (len(x),):
        raise WorkloadError(f"{labels} must hold {len(x)} labels, got {y.shape}")
    if len(y) and y.max() > 9:
        raise WorkloadError(f"{labels}: labels must be 0 to 9, got {y.max()}")
    return LabelledImages(x[:, None], y.astype(np.int64))


def read_idx(path: Path) -> np.ndarray:
    """The array of unsigned bytes in an IDX file: two zeros, type 8, number of dimensions, sizes, bytes."""
    try:
        raw = unpack(path) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise WorkloadError(f"{path} is damaged: {error}", hint="get it again") from None
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
