"""CIFAR-10 and CIFAR-100 in their Python version: pickles, in a .tar.gz or unpacked.

Names and checksums of the official files are torchvision's.  Its reader is not used, as it trusts the pickles.
"""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from kbench.data.store.arrays import Content, LabelledImages, save
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, compare_with_official, read_archive
from kbench.errors import WorkloadError
from kbench.files import reason

PIXELS = 3 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the two, by torchvision's class for it."""

    published: type[CIFAR10]
    labels: bytes  # key in a pickle
    n_classes: int

    @property
    def archive(self) -> Official:
        """The file that holds all."""
        return Official(name=self.published.filename, url=self.published.url, md5=self.published.tgz_md5)

    @property
    def train(self) -> list[Official]:
        """The files of the training samples, in order."""
        return [Official(name=name, url="", md5=md5) for name, md5 in self.published.train_list]

    @property
    def test(self) -> Official:
        """The file of the validation samples."""
        [(name, md5)] = self.published.test_list
        return Official(name=name, url="", md5=md5)


CIFAR_10 = Variant(published=CIFAR10, labels=b"labels", n_classes=10)
CIFAR_100 = Variant(published=CIFAR100, labels=b"fine_labels", n_classes=100)


def prepare_cifar10(job: PrepareJob) -> Manifest:
    """Make arrays of CIFAR-10."""
    return save(job.folder, job.dataset, read(job, CIFAR_10), n_classes=10)


def prepare_cifar100(job: PrepareJob) -> Manifest:
    """Make arrays of CIFAR-100, with its fine labels."""
    return save(job.folder, job.dataset, read(job, CIFAR_100), n_classes=100)


def read(job: PrepareJob, variant: Variant) -> Content:
    """Read and check the files."""
    folder = str(variant.published.base_folder)
    unpacked = job.find(folder)
    if unpacked is not None:
        read_file = _in_folder(unpacked)
        paths = [(unpacked / file.name, file) for file in (*variant.train, variant.test)]
        found = [(path, job.md5_of(path), file) for path, file in paths if path.exists()]
    else:
        archive = job.obtain(variant.archive)
        read_file, found = _in_archive(archive, folder), [(archive, job.md5_of(archive), variant.archive)]
    parts = [_batch(*read_file(file.name), variant) for file in variant.train]
    train = LabelledImages(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))
    val = _batch(*read_file(variant.test.name), variant)
    sources, checked = compare_with_official(job, (len(train.y), len(val.y)), found)
    return Content(train, val, sources, (*checked, "types, shapes and labels of every batch"))


ReadFile = Callable[[str], tuple[str, bytes]]  # by a file's name: its place, for errors, and its bytes


def _in_folder(folder: Path) -> ReadFile:
    def read_file(name: str) -> tuple[str, bytes]:
        try:
            return str(folder / name), (folder / name).read_bytes()
        except OSError as error:
            raise WorkloadError(f"{folder / name} cannot be read: {reason(error)}", hint="get it again") from None

    return read_file


def _in_archive(archive: Path, folder: str) -> ReadFile:
    files = read_archive(archive)

    def read_file(name: str) -> tuple[str, bytes]:
        if f"{folder}/{name}" not in files:
            raise WorkloadError(f"{archive} holds no {folder}/{name}", hint="get it again")
        return f"{archive}: {folder}/{name}", files[f"{folder}/{name}"]

    return read_file


class _ArrayUnpickler(pickle.Unpickler):
    """Loads arrays and nothing else: a pickle can ask for any function to be called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.replace("._core", ".core"), name) == ("numpy.core.multiarray", "_reconstruct"):
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, how: text.encode(how)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _batch(where: str, raw: bytes, variant: Variant) -> LabelledImages:
    """One pickled batch: images (n, 3, 32, 32) and labels (n,)."""
    try:
        entry = _ArrayUnpickler(io.BytesIO(raw), encoding="bytes").load()
        data, labels = entry[b"data"], np.asarray(entry[variant.labels], dtype=np.int64)
    except KeyError as error:
        raise WorkloadError(f"{where} has no {error.args[0].decode()}", hint="get it again") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise WorkloadError(f"{where} is damaged: {error}", hint="get it again") from None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), PIXELS):
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise WorkloadError(f"{where}: data must be uint8 ({len(labels)}, {PIXELS}), got {got}", hint="get it again")
    if len(labels) and not (0 <= labels.min() and labels.max() < variant.n_classes):
        wrong = labels[(labels < 0) | (labels >= variant.n_classes)][0]
        raise WorkloadError(f"{where}: labels must be below {variant.n_classes}, got {wrong}", hint="get it again")
    return LabelledImages(data.reshape(-1, 3, 32, 32), labels)
