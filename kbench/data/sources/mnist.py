"""MNIST: IDX files, gzipped or not."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from kbench.data.store.arrays import Part, keep
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, settle
from kbench.errors import WorkloadError

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FILES = tuple(  # checksums and mirror: torchvision 0.29, datasets/mnist.py
    Official(name=name, url=MIRROR + name, md5=md5)
    for name, md5 in (
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    )
)


def prepare(work: PrepareJob) -> Manifest:
    """Make arrays of MNIST."""
    train, val, sources, checked = read(work)
    return keep(work.folder, work.dataset, train=train, val=val, n_classes=10, sources=sources, checked=checked)


def read(work: PrepareJob) -> tuple[Part, Part, dict[str, str | None], tuple[str, ...]]:
    """Read and check the files: training part, validation part, sources, what was checked."""
    paths = [work.obtain(file, file.name.removesuffix(".gz")) for file in FILES]
    images, labels, val_images, val_labels = map(_idx, paths)
    train = _part(paths[0], images, paths[1], labels)
    val = _part(paths[2], val_images, paths[3], val_labels)
    # an unpacked file has no published checksum, and gzip keeps one of what it packs
    found = [(path, work.md5_of(path), file) for path, file in zip(paths, FILES, strict=True) if path.suffix == ".gz"]
    sources, checked = settle(work, (len(train.y), len(val.y)), found)
    if len(found) < len(FILES):
        checked = ()
    return train, val, sources, (*checked, "types, shapes and labels of every file")


def _part(images: Path, x: np.ndarray, labels: Path, y: np.ndarray) -> Part:
    if x.ndim != 3 or x.shape[1:] != (28, 28):
        raise WorkloadError(f"{images} must hold images of 28x28, got {x.shape}")
    if y.shape != (len(x),):
        raise WorkloadError(f"{labels} must hold {len(x)} labels, got {y.shape}")
    if len(y) and y.max() > 9:
        raise WorkloadError(f"{labels}: labels must be 0 to 9, got {y.max()}")
    return Part(x[:, None], y.astype(np.int64))


def _idx(path: Path) -> np.ndarray:
    """The array of unsigned bytes in an IDX file: two zeros, type 8, number of dimensions, sizes, bytes."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
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
