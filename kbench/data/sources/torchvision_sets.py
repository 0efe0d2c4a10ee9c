"""Data sets of torchvision with a training and a test part of images of one size, kept as arrays.

torchvision reads its own files, and fetches them where it may; training then reads the arrays, never torchvision's.
"""

from typing import Any

import numpy as np

from kbench.data.store.arrays import Content, LabelledImages, save
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import WorkloadError

BY_SPLIT = ("SVHN", "STL10")  # that name their part as a split; the others by ``train``


def prepare(job: PrepareJob) -> Manifest:
    """Make arrays of a data set whose torchvision files lie in one of the job's folders, or are fetched."""
    name = job.dataset.partition(":")[2]
    train, val = (_part(_open(job, name, part), job) for part in ("train", "test"))
    checked = ("torchvision's checks of its files", "types, shapes and labels of every file")
    return save(job.folder, job.dataset, Content(train, val, {}, checked), n_classes=job.info.n_classes)


def _open(job: PrepareJob, name: str, part: str) -> Any:
    """torchvision's data set of a part, from the first folder that has its files."""
    from torchvision import datasets

    which: dict[str, Any] = {"split": part} if name in BY_SPLIT else {"train": part == "train"}
    for place in job.look_in:
        try:
            return getattr(datasets, name)(str(place), download=False, **which)
        except (RuntimeError, OSError):  # how torchvision says that files are missing, or not what they should be
            continue
    where = f"{job.dataset}: torchvision finds no sound files of {name} in {job.searched}"
    if not job.download:
        raise WorkloadError(where, hint=f"run kbench data prepare {job.dataset} where there is network, or --from DIR")
    job.report(f"torchvision fetches {name} -> {job.folder}")
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        return getattr(datasets, name)(str(job.folder), download=True, **which)
    except (RuntimeError, OSError) as error:
        raise WorkloadError(
            f"{where}, and cannot fetch them: {str(error).splitlines()[0]}",
            hint=f"get them on a machine with network, then kbench data prepare {job.dataset} --from DIR",
        ) from None


def _part(opened: Any, job: PrepareJob) -> LabelledImages:
    """Pixels (n, c, h, w) uint8 and labels (n,) int64 of what torchvision holds in memory."""
    raw = np.asarray(opened.data)
    labels = np.asarray(opened.targets if hasattr(opened, "targets") else opened.labels).astype(np.int64)
    channels, *size = job.info.shape
    if raw.ndim == 3:
        raw = raw[:, None]
    elif raw.shape[-1] == channels and raw.shape[1] != channels:  # CIFAR-10 has channels last
        raw = raw.transpose(0, 3, 1, 2)
    if raw.dtype != np.uint8 or raw.shape[1:] != (channels, *size) or len(labels) != len(raw):
        found = f"{raw.dtype} {raw.shape} and {len(labels)} labels"
        raise WorkloadError(f"{job.dataset}: must hold uint8 images {(channels, *size)}, got {found}")
    if labels.min() < 0 or labels.max() >= job.info.n_classes:
        wanted = f"labels from 0 to {job.info.n_classes - 1}"
        raise WorkloadError(f"{job.dataset}: must have {wanted}, got {labels.min()} to {labels.max()}")
    return LabelledImages(np.ascontiguousarray(raw), labels)
