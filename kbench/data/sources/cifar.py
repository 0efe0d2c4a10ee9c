"""CIFAR-10 and CIFAR-100 in their Python version: pickles, in a .tar.gz or unpacked."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kbench.data.sources.archive import contents
from kbench.data.store.arrays import Part, keep
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob, settle
from kbench.errors import WorkloadError

PIXELS = 3 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Which of the two.  Checksums: torchvision 0.29, datasets/cifar.py."""

    archive: Official
    folder: str  # in the archive
    train: tuple[Official, ...]
    test: Official
    labels: bytes
    n_classes: int


CIFAR10 = Kind(
    archive=Official(
        name="cifar-10-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
    ),
    folder="cifar-10-batches-py",
    train=(
        Official(name="data_batch_1", url="", md5="c99cafc152244af753f735de768cd75f"),
        Official(name="data_batch_2", url="", md5="d4bba439e000b95fd0a9bffe97cbabec"),
        Official(name="data_batch_3", url="", md5="54ebc095f3ab1f0389bbae665268c751"),
        Official(name="data_batch_4", url="", md5="634d18415352ddfa80567beed471001a"),
        Official(name="data_batch_5", url="", md5="482c414d41f54cd18b22e5b47cb7c3cb"),
    ),
    test=Official(name="test_batch", url="", md5="40351d587109b95175f43aff81a1287e"),
    labels=b"labels",
    n_classes=10,
)
CIFAR100 = Kind(
    archive=Official(
        name="cifar-100-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
    ),
    folder="cifar-100-python",
    train=(Official(name="train", url="", md5="16019d7e3df5f24257cddd939b257f8d"),),
    test=Official(name="test", url="", md5="f0ef6b0ae62326f3e7ffdfab6717acfc"),
    labels=b"fine_labels",
    n_classes=100,
)


def prepare_cifar10(work: PrepareJob) -> Manifest:
    """Make arrays of CIFAR-10."""
    return _prepare(work, CIFAR10)


def prepare_cifar100(work: PrepareJob) -> Manifest:
    """Make arrays of CIFAR-100, with its fine labels."""
    return _prepare(work, CIFAR100)


def _prepare(work: PrepareJob, kind: Kind) -> Manifest:
    train, val, sources, checked = read(work, kind)
    return keep(
        work.folder, work.dataset, train=train, val=val, n_classes=kind.n_classes, sources=sources, checked=checked
    )


def read(work: PrepareJob, kind: Kind) -> tuple[Part, Part, dict[str, str | None], tuple[str, ...]]:
    """Read and check the files: training part, validation part, sources, what was checked."""
    unpacked = work.find(kind.folder)
    if unpacked is not None:
        opened, found = _in_folder(unpacked), _told(work, unpacked, (*kind.train, kind.test))
    else:
        archive = work.obtain(kind.archive)
        opened, found = _in_archive(archive, kind.folder), [(archive, work.md5_of(archive), kind.archive)]
    parts = [_batch(*opened(file.name), kind) for file in kind.train]
    train = Part(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))
    val = _batch(*opened(kind.test.name), kind)
    sources, checked = settle(work, (len(train.y), len(val.y)), found)
    return train, val, sources, (*checked, "types, shapes and labels of every batch")


Opened = Callable[[str], tuple[str, bytes]]


def _told(work: PrepareJob, folder: Path, files: tuple[Official, ...]) -> list[tuple[Path, str, Official]]:
    paths = [folder / file.name for file in files]
    return [(path, work.md5_of(path), file) for path, file in zip(paths, files, strict=True) if path.exists()]


def _in_folder(folder: Path) -> Opened:
    def opened(name: str) -> tuple[str, bytes]:
        try:
            return str(folder / name), (folder / name).read_bytes()
        except OSError as error:
            raise WorkloadError(f"{folder / name} cannot be read: {error.strerror}", hint="get it again") from None

    return opened


def _in_archive(archive: Path, folder: str) -> Opened:
    held = contents(archive)

    def opened(name: str) -> tuple[str, bytes]:
        if f"{folder}/{name}" not in held:
            raise WorkloadError(f"{archive} holds no {folder}/{name}", hint="get it again")
        return f"{archive}: {folder}/{name}", held[f"{folder}/{name}"]

    return opened


class _Careful(pickle.Unpickler):
    """Knows arrays and nothing else: a pickle can ask for any function to be called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.replace("._core", ".core"), name) == ("numpy.core.multiarray", "_reconstruct"):
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, how: text.encode(how)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _batch(where: str, raw: bytes, kind: Kind) -> Part:
    """One pickled batch as images (n, 3, 32, 32) and labels (n,)."""
    try:
        entry = _Careful(io.BytesIO(raw), encoding="bytes").load()
        data, labels = entry[b"data"], np.asarray(entry[kind.labels], dtype=np.int64)
    except KeyError as error:
        raise WorkloadError(f"{where} has no {error.args[0].decode()}", hint="get it again") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise WorkloadError(f"{where} is damaged: {error}", hint="get it again") from None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), PIXELS):
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise WorkloadError(f"{where}: data must be uint8 ({len(labels)}, {PIXELS}), got {got}", hint="get it again")
    if len(labels) and not (0 <= labels.min() and labels.max() < kind.n_classes):
        wrong = labels[(labels < 0) | (labels >= kind.n_classes)][0]
        raise WorkloadError(f"{where}: labels must be below {kind.n_classes}, got {wrong}", hint="get it again")
    return Part(data.reshape(-1, 3, 32, 32), labels)
