"""Small data sets as they are kept: decoded uint8 arrays in .npy files.  Knows no torch."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import kbench
from kbench import files
from kbench.data.store import manifest
from kbench.data.store.manifest import Manifest

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Part(NamedTuple):
    """Images (n, c, h, w) and labels (n,) of the training or the validation set."""

    x: Pixels
    y: Labels


def keep(
    folder: Path,
    dataset: str,
    *,
    train: Part,
    val: Part,
    n_classes: int,
    sources: dict[str, str | None],
    checked: tuple[str, ...],
) -> Manifest:
    """Write both parts and their manifest; the manifest comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / manifest.NAME).unlink(missing_ok=True)
    arrays = {"train-x.npy": train.x, "train-y.npy": train.y, "val-x.npy": val.x, "val-y.npy": val.y}
    for name, array in arrays.items():
        with files.writing(folder / name) as draft, draft.open("wb") as file:
            np.save(file, np.ascontiguousarray(array))
    channels, height, width = train.x.shape[1:]
    made = Manifest(
        dataset=dataset,
        n_train=len(train.y),
        n_val=len(val.y),
        n_classes=n_classes,
        shape=(channels, height, width),
        checked=checked,
        sources=sources,
        files={name: (folder / name).stat().st_size for name in arrays},
        digests={name: manifest.digest(folder / name) for name in arrays},
        kbench_version=kbench.__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest.write(folder, made)
    return made


def verify(place: Path, written: Manifest, _workers: int, _tell: Callable[[str], None]) -> list[str]:
    """Sentences: arrays that are not what they were when they were prepared."""
    return manifest.changed(place, written)
