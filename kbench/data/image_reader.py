"""Images that lie in files, wherever the index says: read, decoded, looked at one by one."""

import io
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from kbench.data.store.index import Index
from kbench.data.views.spec import View
from kbench.data.views.transforms import pipeline
from kbench.errors import WorkloadError

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".webp")
AGAIN = "get it again, or take it away, and run kbench data prepare"


class ImageReader:
    """The images of one part of a data set in the folder ``place``."""

    def __init__(self, place: Path, index: Index, *, size: int) -> None:
        self.place, self.index, self.size = place, index, size

    def __len__(self) -> int:
        return len(self.index)

    def read(self, sample: int, view: View) -> tuple[Tensor, Tensor]:
        """The view of one sample, (3, size, size) uint8, from the global random streams, and its label."""
        transform = _pipeline(view.how, view.size or self.size, view.resize, view.mean)
        return transform(self.image(sample)), torch.tensor(int(self.index.label[sample]))

    def image(self, sample: int) -> Image.Image:
        """Decode one sample in full.  Raises WorkloadError that names the file."""
        where = f"{self.place / self.name(sample)} (sample {sample})"
        raw = self._bytes(sample)
        try:
            with Image.open(io.BytesIO(raw)) as image:
                return image.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise WorkloadError(f"{where} is damaged: {error}", hint=AGAIN) from None

    def name(self, sample: int) -> str:
        """The file that holds a sample."""
        return self.index.names[int(self.index.file[sample])]

    def _bytes(self, sample: int) -> bytes:
        path, size = self.place / self.name(sample), int(self.index.size[sample])
        try:
            with path.open("rb") as file:
                file.seek(int(self.index.offset[sample]))
                raw = file.read(size)
        except OSError as error:
            raise WorkloadError(f"{path} (sample {sample}) cannot be read: {error.strerror}", hint=AGAIN) from None
        if len(raw) < size:
            raise WorkloadError(f"{path} (sample {sample}) is truncated: {len(raw)} of {size} bytes", hint=AGAIN)
        return raw


_pipeline = lru_cache(maxsize=8)(pipeline)
