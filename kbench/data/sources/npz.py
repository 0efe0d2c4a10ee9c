"""Tables of one's own in a file of numpy: ``np.savez(PATH, x_train=, y_train=, x_val=, y_val=)``.

Images are (n, channels, height, width), or (n, height, width) of one channel; uint8 pixels, or float32 as a model takes
them.  Labels are whole numbers from 0, (n,).
"""

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from kbench.data.registry import IN_COLOR, IN_MEMORY, NPZ, DatasetInfo
from kbench.errors import ConfigError

if TYPE_CHECKING:
    from kbench.data.loader import Arrays

KEYS = ("x_train", "y_train", "x_val", "y_val")
MADE_BY = "write it with np.savez(PATH, x_train=..., y_train=..., x_val=..., y_val=...)"


def describe(path: str) -> DatasetInfo:
    """Describe a file by its labels and the heads of its images.

    Raises:
        ConfigError: It is missing, is no such file, or its arrays do not fit together.
    """
    tables = _read(path, labels_only=True)
    labels = np.concatenate([tables["y_train"], tables["y_val"]])
    _, channels, height, width = tables["x_train"].shape
    return DatasetInfo(
        target="kbench.data.sources.npz:load",
        file=path,
        n_train=len(tables["y_train"]),
        n_val=len(tables["y_val"]),
        n_classes=int(labels.max(initial=0)) + 1,
        shape=(channels, height, width),
        augments=IN_COLOR if channels == 3 and tables["x_train"].dtype == np.uint8 else IN_MEMORY,
        about="arrays of your own in a file of numpy",
    )


def load(place: Path | None) -> "tuple[Arrays, Arrays]":
    """Load both parts: (training, validation)."""
    from torch import from_numpy

    from kbench.data.loader import Arrays

    tables = _read(str(place), labels_only=False)
    images = {key: from_numpy(np.ascontiguousarray(tables[key])) for key in KEYS}
    return Arrays(images["x_train"], images["y_train"]), Arrays(images["x_val"], images["y_val"])


def _read(path: str, *, labels_only: bool) -> dict[str, NDArray[np.generic]]:
    """The four arrays, images as (n, c, h, w) and labels as int64; with ``labels_only`` images have no content."""
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file.files]
            if missing:
                raise ConfigError(
                    f"{NPZ}{path}: has no {', '.join(missing)}, only {', '.join(file.files)}", hint=MADE_BY
                )
            heads = {key: file[key] for key in KEYS if key[0] == "y" or not labels_only}
            if labels_only:
                heads |= {key: np.broadcast_to(np.zeros((), dtype), shape) for key, shape, dtype in _heads(file)}
    except FileNotFoundError:
        raise ConfigError(f"{NPZ}{path}: no such file, looked from {Path.cwd()}", hint=MADE_BY) from None
    except (OSError, ValueError, EOFError, AttributeError, KeyError, TypeError, BadZipFile) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{NPZ}{path}: is no file of arrays: {why}", hint=MADE_BY) from error
    heads = {key: each[:, None] if key[0] == "x" and each.ndim == 3 else each for key, each in heads.items()}
    wrong = _problem(heads)
    if wrong:
        raise ConfigError(f"{NPZ}{path}: {wrong}", hint=MADE_BY)
    return {key: each.astype(np.int64) if key[0] == "y" else each for key, each in heads.items()}


def _heads(file: "np.lib.npyio.NpzFile") -> list[tuple[str, tuple[int, ...], np.dtype[np.generic]]]:
    """Name, shape and type of the images, whose content is not read."""
    found = []
    assert file.zip is not None, "it is open"
    for key in ("x_train", "x_val"):
        with file.zip.open(f"{key}.npy") as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(member)
            found.append((key, shape, dtype))
    return found


def _problem(tables: dict[str, NDArray[np.generic]]) -> str:
    """What does not fit together, in a sentence; empty where all does."""
    for part in ("train", "val"):
        x, y = tables[f"x_{part}"], tables[f"y_{part}"]
        if x.ndim != 4 or x.dtype not in (np.uint8, np.float32):
            return f"x_{part} must be (n, c, h, w) or (n, h, w) of uint8 or float32, got {x.shape} of {x.dtype}"
        if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
            return f"y_{part} must be (n,) of whole numbers, got {y.shape} of {y.dtype}"
        if len(x) != len(y) or not len(y):
            return f"x_{part} and y_{part} must be equally many, at least one, got {len(x)} and {len(y)}"
        if int(y.min()) < 0:
            return f"y_{part} must count classes from 0, got {int(y.min())}"
    if tables["x_train"].shape[1:] != tables["x_val"].shape[1:] or tables["x_train"].dtype != tables["x_val"].dtype:
        return "x_train and x_val must have images of one shape and type"
    if int(tables["y_val"].max()) > int(tables["y_train"].max()):
        highest, known = (int(tables[f"y_{part}"].max()) for part in ("val", "train"))
        return f"y_val has a class {highest}, the classes of y_train end at {known}"
    return ""
