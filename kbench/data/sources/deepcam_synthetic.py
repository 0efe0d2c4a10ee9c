"""Small files in DeepCAM's format: invented weather, in which cyclones and rivers can be learnt."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from kbench.data.sources.deepcam import FIELDS, HIGHEST, LABELS, LOWEST, PARTS, STATS, index_files
from kbench.data.store.manifest import Manifest
from kbench.data.store.parallel import in_order
from kbench.data.store.prepare_job import PrepareJob

SHAPE = (96, 144, 16)  # height, width, channels: an eighth of the published sides
N_TRAIN, N_VAL = 128, 32
CHUNK = 8  # files that a process writes at a time
CYCLONE, RIVER = 1, 2
NOISE = 0.4  # standard deviation of the weather, where a cyclone or a river adds up to 2

Floats = NDArray[np.float64]
Moments = tuple[Floats, Floats, Floats, Floats]  # sum, sum of squares, lowest, highest of each channel


def prepare(job: PrepareJob) -> Manifest:
    """Make the files in the data set's folder, and index them."""
    job.report(f"{job.dataset}: writing {N_TRAIN + N_VAL} files to {job.folder}")
    make(job.folder, processes=job.workers)
    return index_files(job)


def make(
    folder: Path,
    *,
    n_train: int = N_TRAIN,
    n_val: int = N_VAL,
    shape: tuple[int, int, int] = SHAPE,
    seed: int = 0,
    processes: int = 1,
) -> None:
    """Write ``n_train`` and ``n_val`` files of ``shape`` (height, width, channels), and stats.h5, below ``folder``.

    A file is a function of ``seed``, its part, its number and ``shape``, whatever the number of ``processes``.
    """
    moments: dict[str, list[Moments]] = {}
    for number, (part, n) in enumerate((("train", n_train), ("val", n_val))):
        where = folder / PARTS[part]
        where.mkdir(parents=True, exist_ok=True)
        write = partial(write_sample, where, key=(seed, number), shape=shape)
        moments[part] = list(in_order(write, range(n), workers=processes, chunk=CHUNK))
    _write_stats(folder / STATS, moments["train"], n_pixels=shape[0] * shape[1])


def write_sample(where: Path, number: int, *, key: tuple[int, int], shape: tuple[int, int, int]) -> Moments:
    """Write one file, and return the moments of its channels."""
    import h5py

    fields, labels = weather(np.random.default_rng((*key, number)), shape)
    with h5py.File(where / f"data-{number:06d}.h5", "w") as file:
        file[FIELDS] = fields
        file[LABELS] = labels
    pixels = fields.reshape(-1, shape[2]).astype(np.float64)
    return pixels.sum(0), np.square(pixels).sum(0), pixels.min(0), pixels.max(0)


def weather(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """One sample: fields ((h, w, c) float32) in units of their own, and the class of each pixel ((h, w) int8).

    Up to two cyclones (discs) and up to two rivers (bands) are in it.  A cyclone shows in the even
    channels, a river in every third one: no channel tells both apart from the weather alone.
    """
    height, width, n_channels = shape
    labels = np.zeros((height, width), dtype=np.int8)
    strength = np.zeros((3, height, width))
    for _ in range(rng.integers(0, 3)):
        _mark(labels, strength, RIVER, _river(rng, height, width))
    for _ in range(rng.integers(0, 3)):
        _mark(labels, strength, CYCLONE, _cyclone(rng, height, width))
    channel = np.arange(n_channels)[:, None, None]
    fields = NOISE * _smooth(rng, shape) + strength[CYCLONE] * (channel % 2 == 0) + strength[RIVER] * (channel % 3 == 0)
    fields = 10.0 ** (channel % 5) * (fields + channel)  # from wind speeds to pressures, so that scaling matters
    return np.ascontiguousarray(fields.transpose(1, 2, 0), dtype=np.float32), labels


def _cyclone(rng: np.random.Generator, height: int, width: int) -> Floats:
    """(h, w): 1 at the eye, 0.5 at the rim, and less outside."""
    radius = height * rng.uniform(0.05, 0.09)
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    distance = np.hypot(np.arange(height)[:, None] - row, np.arange(width)[None, :] - column)
    return _fading(distance / radius)


def _river(rng: np.random.Generator, height: int, width: int) -> Floats:
    """(h, w): 1 along a winding line across a part of the image, 0.5 at the bank, and less outside."""
    half = height * rng.uniform(0.03, 0.05)
    column = np.arange(width)
    bend = height * rng.uniform(0.1, 0.2) * np.sin(column / width * rng.uniform(3, 9) + rng.uniform(0, 6))
    middle = rng.uniform(0.2, 0.8) * height + bend
    begin = rng.uniform(0, 0.5) * width
    beyond = np.maximum(np.maximum(begin - column, column - begin - width / 2), 0)
    return _fading(np.hypot(np.arange(height)[:, None] - middle, beyond) / half)


def _fading(distance: Floats) -> Floats:
    faded: Floats = 0.5 ** np.square(distance)
    return faded


def _mark(labels: NDArray[np.int8], strength: Floats, label: int, where: Floats) -> None:
    labels[where >= 0.5] = label
    strength[label] = np.maximum(strength[label], 2 * where)


def _smooth(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """(c, h, w): noise that varies over about an eighth of the height, and a little from pixel to pixel."""
    height, width, n_channels = shape
    coarse = torch.from_numpy(rng.standard_normal((1, n_channels, 9, 13)))
    smooth: Floats = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)[0].numpy()
    return smooth + 0.2 * rng.standard_normal((n_channels, height, width))


def _write_stats(path: Path, moments: list[Moments], *, n_pixels: int) -> None:
    import h5py

    total, squares, lowest, highest = (np.stack(column) for column in zip(*moments, strict=True))
    with h5py.File(path, "w") as file:
        file["climate/count"] = len(moments)
        file["climate/mean"] = total.sum(0) / (len(moments) * n_pixels)
        file["climate/sqmean"] = squares.sum(0) / (len(moments) * n_pixels)
        file[LOWEST] = lowest.min(0)
        file[HIGHEST] = highest.max(0)
