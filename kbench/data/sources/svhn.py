"""SVHN, cropped digits: MATLAB files; the training set is train and extra together."""

from pathlib import Path

import numpy as np

from kbench.data.store.arrays import Part, keep
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, settle
from kbench.errors import WorkloadError

PAGE = "http://ufldl.stanford.edu/housenumbers/"
FILES = tuple(  # checksums: torchvision 0.29, datasets/svhn.py
    Official(name=f"{part}_32x32.mat", url=f"{PAGE}{part}_32x32.mat", md5=md5)
    for part, md5 in (
        ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        ("extra", "a93ce644f1a588dc4d68dda5feec44a7"),
        ("test", "eb5a983be6a315427106f1b164d9cef3"),
    )
)


def prepare(work: PrepareJob) -> Manifest:
    """Make arrays of SVHN: 73,257 + 531,131 training samples, 26,032 for validation."""
    paths = [work.obtain(file) for file in FILES]
    train, extra, test = (_read(path) for path in paths)
    both = Part(np.concatenate([train.x, extra.x]), np.concatenate([train.y, extra.y]))
    found = [(path, work.md5_of(path), file) for path, file in zip(paths, FILES, strict=True)]
    sources, checked = settle(work, (len(both.y), len(test.y)), found)
    return keep(
        work.folder,
        work.dataset,
        train=both,
        val=test,
        n_classes=10,
        sources=sources,
        checked=(*checked, "types, shapes and labels of every file"),
    )


def _read(path: Path) -> Part:
    """One file: X (32, 32, 3, n) uint8 and y (n, 1), in which 10 stands for the digit 0."""
    from scipy.io import loadmat

    try:
        held = loadmat(path)
    except Exception as error:  # a damaged file can raise anything
        raise WorkloadError(f"{path} is damaged: {error}", hint="get it again") from None
    if not {"X", "y"} <= held.keys():
        raise WorkloadError(f"{path} must hold X and y, got {sorted(k for k in held if k[0] != '_')}")
    x, y = held["X"], held["y"].reshape(-1).astype(np.int64)
    if x.dtype != np.uint8 or x.shape != (32, 32, 3, len(y)):
        raise WorkloadError(f"{path}: X must be uint8 (32, 32, 3, {len(y)}), got {x.dtype} {x.shape}")
    if len(y) and not (1 <= y.min() and y.max() <= 10):
        raise WorkloadError(f"{path}: labels must be 1 to 10, got {y.min()} to {y.max()}")
    return Part(np.ascontiguousarray(x.transpose(3, 2, 0, 1)), y % 10)
