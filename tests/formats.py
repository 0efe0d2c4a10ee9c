"""Small data sets in exactly the formats in which the real ones are published."""

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

Pixels = np.ndarray


def pixels(labels: Pixels, *shape: int, seed: int = 0) -> Pixels:
    """Random images (n, *shape) uint8 that tell their class: its own brightness in each of four corners."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 128, (len(labels), *shape))
    bits = (labels[:, None] >> np.arange(4)) & 1
    h, w = shape[-2:]
    for corner in range(4):
        rows = slice(None, h // 2) if corner < 2 else slice(h // 2, None)
        columns = slice(None, w // 2) if corner % 2 else slice(w // 2, None)
        noise[..., rows, columns] += 100 * bits[:, corner].reshape(-1, *[1] * len(shape))
    return noise.astype(np.uint8)


def some_labels(n: int, n_classes: int) -> Pixels:
    return np.arange(n) % n_classes


class Python2(pickle._Pickler):  # type: ignore[name-defined]
    """Writes as cPickle of Python 2 did: str and bytes are strings of bytes, arrays are rebuilt by numpy.core."""

    dispatch = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, text: Any) -> None:
        raw = text.encode() if isinstance(text, str) else text
        short = len(raw) < 256
        self.write(
            (pickle.SHORT_BINSTRING + bytes([len(raw)])) if short else pickle.BINSTRING + struct.pack("<i", len(raw))
        )
        self.write(raw)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_string

    def save_global(self, found: Any, name: str | None = None) -> None:
        module = found.__module__.replace("._core", ".core")
        self.write(pickle.GLOBAL + f"{module}\n{found.__name__}\n".encode())
        self.memoize(found)

    dispatch[FunctionType] = dispatch[type] = save_global

    def save_ndarray(self, array: Pixels) -> None:
        rebuild, how, state = array.__reduce__()
        self.save_reduce(rebuild, how, state, obj=array)

    dispatch[np.ndarray] = save_ndarray


def pickled(entry: dict[str, Any]) -> bytes:
    """The bytes of a pickle of protocol 2 that Python 2 wrote."""
    out = io.BytesIO()
    Python2(out, protocol=2).dump(entry)
    return out.getvalue()


def cifar10(folder: Path, *, n_batch: int = 20, n_val: int = 30, packed: bool = True) -> None:
    """cifar-10-python.tar.gz, or cifar-10-batches-py/, with five batches of ``n_batch``."""
    files = {f"data_batch_{i}": _cifar10_batch(f"training batch {i} of 5", n_batch, seed=i) for i in range(1, 6)}
    files["test_batch"] = _cifar10_batch("testing batch 1 of 1", n_val, seed=9)
    files["batches.meta"] = pickled(
        {"num_cases_per_batch": n_batch, "label_names": list("abcdefghij"), "num_vis": 3072}
    )
    _pack(folder, "cifar-10-python.tar.gz" if packed else "", "cifar-10-batches-py", files)


def _cifar10_batch(name: str, n: int, *, seed: int) -> bytes:
    labels = some_labels(n, 10)
    data = pixels(labels, 3, 32, 32, seed=seed).reshape(n, 3072)
    filenames = [f"picture_{i}.png" for i in range(n)]
    return pickled({"batch_label": name, "labels": labels.tolist(), "data": data, "filenames": filenames})


def cifar100(folder: Path, *, n_train: int = 200, n_val: int = 100, packed: bool = True) -> None:
    """cifar-100-python.tar.gz, or cifar-100-python/."""
    files = {}
    for name, n, seed in (("train", n_train, 1), ("test", n_val, 2)):
        fine = some_labels(n, 100)
        entry = {"filenames": [f"{i}.png" for i in range(n)], "batch_label": name, "fine_labels": fine.tolist()}
        entry |= {"coarse_labels": (fine // 5).tolist(), "data": pixels(fine, 3, 32, 32, seed=seed).reshape(n, 3072)}
        files[name] = pickled(entry)
    files["meta"] = pickled({"fine_label_names": [f"c{i}" for i in range(100)]})
    _pack(folder, "cifar-100-python.tar.gz" if packed else "", "cifar-100-python", files)


def _pack(folder: Path, archive: str, inside: str, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not archive:
        (folder / inside).mkdir()
        for name, data in files.items():
            (folder / inside / name).write_bytes(data)
        return
    with tarfile.open(folder / archive, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def svhn(folder: Path, *, n_train: int = 40, n_extra: int = 60, n_val: int = 30) -> None:
    """train_32x32.mat, extra_32x32.mat and test_32x32.mat; label 10 is the digit 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, n) in enumerate((("train", n_train), ("extra", n_extra), ("test", n_val))):
        labels = some_labels(n, 10)
        x = pixels(labels, 3, 32, 32, seed=seed).transpose(2, 3, 1, 0)
        y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(folder / f"{name}_32x32.mat", {"X": x, "y": y}, do_compression=True)


def mnist(folder: Path, *, n_train: int = 100, n_val: int = 40, packed: bool = True) -> None:
    """The four IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, n) in enumerate((("train", n_train), ("t10k", n_val))):
        labels = some_labels(n, 10).astype(np.uint8)
        for kind, array in (("images-idx3", pixels(labels, 28, 28, seed=seed)), ("labels-idx1", labels)):
            raw = idx(array)
            path = folder / f"{name}-{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(raw) if packed else raw)


def idx(array: Pixels) -> bytes:
    """An array of bytes as an IDX file."""
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


def jpeg(label: int, seed: int, *, width: int = 60, height: int = 48) -> bytes:
    """A JPEG photograph of a class."""
    image = pixels(np.array([label]), 3, height, width, seed=seed)[0].transpose(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=90)
    return out.getvalue()


def image_folder(
    folder: Path, *, classes: tuple[str, ...] = ("cat", "dog", "eel"), n_train: int = 8, n_val: int = 4
) -> None:
    """train/CLASS/*.JPEG and val/CLASS/*.JPEG, of different sizes."""
    for part, n in (("train", n_train), ("val", n_val)):
        for label, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for i in range(n):
                seed = hash((part == "val", label, i)) % 2**32
                photograph = jpeg(label, seed, width=50 + i % 20, height=70 - i % 20)
                (folder / part / name / f"{name}_{i}.JPEG").write_bytes(photograph)


def shards(folder: Path, *, n_classes: int = 3, n_train: int = 24, n_val: int = 9, per_shard: int = 8) -> None:
    """train-000000.tar ... and val-000000.tar ... in the manner of WebDataset, class by class."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, n in (("train", n_train), ("val", n_val)):
        labels = np.sort(some_labels(n, n_classes)).tolist()
        for start in range(0, n, per_shard):
            with tarfile.open(folder / f"{part}-{start // per_shard:06d}.tar", "w") as tar:
                for i in range(start, min(start + per_shard, n)):
                    add(tar, f"sample{i:05d}.jpg", jpeg(labels[i], 1000 * (part == "val") + i))
                    add(tar, f"sample{i:05d}.cls", str(labels[i]).encode())


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Put a file into a tar."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


WNIDS = ("n01440764", "n01443537", "n02099601")
ILSVRC_IDS = {"n01443537": 1, "n02099601": 2, "n01440764": 3}  # in another order than the names


def devkit(folder: Path, truth: list[str]) -> None:
    """ILSVRC2012_devkit_t12.tar.gz: the classes, a group of classes, and a line for each validation image."""
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(id_, wnid, wnid, "", 0) for wnid, id_ in ILSVRC_IDS.items()] + [(4, "n00001740", "entity", "", 3)]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, dtype=fields).reshape(-1, 1)})
    lines = "".join(f"{ILSVRC_IDS[wnid]}\n" for wnid in truth)
    files = {"data/meta.mat": meta.getvalue(), "data/ILSVRC2012_validation_ground_truth.txt": lines.encode()}
    _pack(folder, "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12", files)


def imagenet_tars(folder: Path, *, n_train: int = 4, n_val: int = 6) -> None:
    """The official tars: one of tars of classes, one of validation images, and the development kit."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for label, wnid in enumerate(WNIDS):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for i in range(n_train):
                    add(tar, f"{wnid}_{i}.JPEG", jpeg(label, 10 * label + i))
            add(outer, f"{wnid}.tar", inner.getvalue())
    truth = [WNIDS[i % 3] for i in range(n_val)]
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as tar:
        for i, wnid in enumerate(truth):
            add(tar, f"ILSVRC2012_val_{i + 1:08d}.JPEG", jpeg(WNIDS.index(wnid), 500 + i))
    devkit(folder, truth)
