"""Large sets of image files that are read through an index, wherever they lie: read, prepared, loaded, verified.

Imports no torch before samples are read for a training, as processes that only decode images start faster without.
"""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kbench.data.store import index, manifest
from kbench.data.store.index import Index
from kbench.data.store.manifest import Manifest
from kbench.data.store.parallel import in_order
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import WorkloadError
from kbench.files import reason

if TYPE_CHECKING:
    from torch import Tensor

    from kbench.data.loader import SampleReader
    from kbench.data.views.spec import ViewSpec

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".webp")
AGAIN = "get it again, or take it away, and run kbench data prepare"
PARTS = ("train", "val")
SIZE = 224  # [pixel] that images are brought to, unless the recipe says otherwise
SPOT_CHECKS = 64  # files of each part that are looked for before every run
CHUNK = 500  # samples that a process decodes at a time
MAX_SENTENCES = 20


class ImageReader:
    """The images of one part of a data set in the folder ``place``: read and decoded one by one."""

    def __init__(self, place: Path, index: Index, *, size: int) -> None:
        self.place, self.index, self.size = place, index, size

    def __len__(self) -> int:
        return len(self.index)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,): the class of each sample."""
        return self.index.label

    def read(self, sample: int, view: "ViewSpec") -> "tuple[Tensor, Tensor]":
        """Read a sample as a view shows it, with random numbers of the global streams.

        Returns:
            Pixels (3, size, size) uint8, and the label, () int64.

        Raises:
            WorkloadError: The file is missing, truncated or damaged; the message names it.
        """
        from torch import tensor

        from kbench.data.views.transforms import pipeline

        transform = pipeline(view.augment, view.size or self.size, view.resize, view.mean, view.interpolation)
        return transform(self.image(sample)), tensor(int(self.index.label[sample]))

    def image(self, sample: int) -> Image.Image:
        """Decode one sample in full, in RGB.  Raises WorkloadError that names the file."""
        raw = self._bytes(sample)
        try:
            with Image.open(io.BytesIO(raw)) as image:
                return in_rgb(image)
        except Exception as error:  # a damaged file can raise anything, and one of too many pixels says so
            where = f"{self.place / self.name(sample)} (sample {sample})"
            raise WorkloadError(f"{where} is damaged: {reason(error)}", hint=AGAIN) from None

    def name(self, sample: int) -> str:
        """The file that holds a sample, relative to ``place``."""
        return self.index.names[int(self.index.file[sample])]

    def _bytes(self, sample: int) -> bytes:
        path, size = self.place / self.name(sample), int(self.index.size[sample])
        try:
            with path.open("rb") as file:
                file.seek(int(self.index.offset[sample]))
                raw = file.read(size)
        except OSError as error:
            raise WorkloadError(f"{path} (sample {sample}) cannot be read: {reason(error)}", hint=AGAIN) from None
        if len(raw) < size:
            raise WorkloadError(f"{path} (sample {sample}) is truncated: {len(raw)} of {size} bytes", hint=AGAIN)
        return raw


def save(
    job: PrepareJob,
    parts: dict[str, Index],
    *,
    n_classes: int,
    trees: tuple[str, ...] = (),
    checked: tuple[str, ...] = (),
) -> Manifest:
    """Write the index of both parts, decode every image once, and write the manifest last.

    ``trees`` are folders whose images are files of their own, ``checked`` is what was looked at besides, in words.
    Raises WorkloadError when a part is empty, or an image cannot be decoded; the message names it.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / manifest.NAME).unlink(missing_ok=True)
    files: dict[str, int] = {}
    for part in PARTS:
        if not len(parts[part]):
            raise WorkloadError(f"{job.dataset}: {job.folder} holds no {part} images")
        files |= index.write(job.folder, part, parts[part])
    digests = {name: manifest.digest(job.folder / name) for name in files}
    wrong = damaged(job.folder, workers=job.workers, report=job.report)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise WorkloadError(wrong[0] + more, hint="get it again, or take it away, and run this again")
    for part in PARTS:
        names = parts[part].names
        picked = names[:: max(1, len(names) // SPOT_CHECKS)] if trees else names
        files |= {name: (job.folder / name).stat().st_size for name in picked}
    written = Manifest(
        dataset=job.dataset,
        n_train=len(parts["train"]),
        n_val=len(parts["val"]),
        n_classes=n_classes,
        shape=(3, 0, 0),
        checked=(*checked, "every image was decoded"),
        files=files,
        trees=trees,
        digests=digests,
    )
    return manifest.write(job.folder, written)


def load(place: Path | None) -> "tuple[SampleReader, SampleReader]":
    """Open what ``save`` indexed: (training, validation)."""
    from kbench.data.loader import SampleReader

    assert place is not None, "its entry names a folder"
    train, val = (SampleReader(ImageReader(place, index.read(place, part), size=SIZE)) for part in PARTS)
    return train, val


def verify(place: Path, written: Manifest, workers: int, report: Callable[[str], None]) -> list[str]:
    """Sentences: files that changed, images that cannot be decoded."""
    return manifest.changed(place, written) or damaged(place, workers=workers, report=report)


def damaged(place: Path, *, workers: int, report: Callable[[str], None]) -> list[str]:
    """Sentences: samples that cannot be decoded in full, the first twenty of each part.

    A JPEG whose bytes were changed without changing its structure decodes to other pixels, and is not found.
    """
    return [sentence for part in PARTS for sentence in _damaged(place, part, workers, report)]


def _damaged(place: Path, part: str, workers: int, report: Callable[[str], None]) -> list[str]:
    n, found = len(index.read(place, part)), list[str]()
    starts = range(0, n, CHUNK)
    chunks = in_order(partial(_damaged_from, place, part), starts, workers=workers if n > CHUNK else 1)
    for start, sentences in zip(starts, chunks, strict=True):
        found += sentences
        if len(found) >= MAX_SENTENCES:
            break
        if n > CHUNK:
            report(f"{part}: {min(start + CHUNK, n):,} of {n:,} samples decoded")
    return found[:MAX_SENTENCES]


def _damaged_from(place: Path, part: str, start: int) -> list[str]:
    reader = ImageReader(place, index.read(place, part), size=0)
    found = []
    for sample in range(start, min(start + CHUNK, len(reader))):
        try:
            reader.image(sample)
        except WorkloadError as error:
            found.append(error.message)
    return found


def in_rgb(image: Image.Image) -> Image.Image:
    """An image in RGB of 8 bits; gray of 16 bits is scaled to them, where Pillow alone would make it white.

    Raises ValueError for pixels of 32 bits, whose white nothing says.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        import numpy as np

        return Image.fromarray((np.asarray(image).astype("float64") / 257 + 0.5).astype("uint8")).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"it has pixels of 32 bits (mode {image.mode}); save it with 8 or 16")
    return image.convert("RGB")
