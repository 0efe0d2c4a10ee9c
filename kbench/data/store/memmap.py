"""Prepared arrays, mapped into memory: what several processes of a node read lies there once."""

from pathlib import Path

import numpy as np
import torch

from kbench.data.arrays import Arrays
from kbench.data.store import manifest
from kbench.data.store.manifest import Manifest
from kbench.errors import WorkloadError


def load(place: Path | None) -> tuple[Arrays, Arrays]:
    """Map what ``prepared.keep`` wrote: (training, validation).  Raises WorkloadError for a file that does not fit."""
    assert place is not None, "its card names a folder"
    written = manifest.read(place)
    if written is None:
        raise WorkloadError(f"{place} is not prepared", hint="run kbench data prepare where there is network")
    return _part(place, "train", written.n_train, written), _part(place, "val", written.n_val, written)


def _part(place: Path, name: str, n: int, written: Manifest) -> Arrays:
    x = _mapped(place / f"{name}-x.npy", (n, *written.shape), np.dtype(np.uint8))
    y = _mapped(place / f"{name}-y.npy", (n,), np.dtype(np.int64))
    return Arrays(torch.from_numpy(x), torch.from_numpy(np.array(y)))


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> np.ndarray:
    """An array that lies in the page cache once for all processes; a write would stay in this one."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError) as error:
        raise WorkloadError(f"{path} cannot be read: {error}", hint="make it anew: kbench data prepare") from None
    if array.shape != shape or array.dtype != dtype:
        raise WorkloadError(
            f"{path} holds {array.dtype} {array.shape}, its manifest says {dtype} {shape}",
            hint="make it anew: kbench data prepare",
        )
    return array
