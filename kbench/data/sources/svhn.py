"""SVHN, cropped digits: MATLAB files; the training set is train and extra together.

Names and checksums of the official files are torchvision's.
"""

from pathlib import Path

import numpy as np
from torchvision.datasets import SVHN

from kbench.data.store.arrays import Content, LabelledImages, save
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, compare_with_official
from kbench.errors import WorkloadError

FILES = tuple(
    Official(name=name, url=url, md5=md5)
    for url, name, md5 in (SVHN.split_list[part] for part in ("train", "extra", "test"))
)


def prepare(job: PrepareJob) -> Manifest:
    """Make arrays of SVHN: 73,257 + 531,131 training samples, 26,032 for validation."""
    paths = [job.obtain(file) for file in FILES]
    train, extra, test = (_read(path) for path in paths)
    both = LabelledImages(np.concatenate([train.x, extra.x]), np.concatenate([train.y, extra.y]))
    found = [(path, job.md5_of(path), file) for path, file in zip(paths, FILES, strict=True)]
    sources, checked = compare_with_official(job, (len(both.y), len(test.y)), found)
    content = Content(both, test, sources, (*checked, "types, shapes and labels of every file"))
    return save(job.folder, job.dataset, content, n_classes=10)


def _read(path: Path) -> LabelledImages:
    """One file: X (32, 32, 3, n) uint8 and y (n, 1), in which 10 stands for the digit 0."""
    from scipy.io import loadmat

    try:
        found = loadmat(path)
    except Exception as error:  # a damaged file can raise anything
        raise WorkloadError(f"{path} is damaged: {error}", hint="get it again") from None
    if not {"X", "y"} <= found.keys():
        raise WorkloadError(f"{path} must hold X and y, got {sorted(k for k in found if k[0] != '_')}")
    x, y = found["X"], found["y"].reshape(-1).astype(np.int64)
    if x.dtype != np.uint8 or x.shape != (32, 32, 3, len(y)):
        raise WorkloadError(f"{path}: X must be uint8 (32, 32, 3, {len(y)}), got {x.dtype} {x.shape}")
    if len(y) and not (1 <= y.min() and y.max() <= 10):
        raise WorkloadError(f"{path}: labels must be 1 to 10, got {y.min()} to {y.max()}")
    return LabelledImages(np.ascontiguousarray(x.transpose(3, 2, 0, 1)), y % 10)
