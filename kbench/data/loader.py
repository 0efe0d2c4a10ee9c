"""Sources of samples: a data set in memory, and one that worker processes read sample by sample."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kbench.config.own_code import is_reference
from kbench.data.registry import IMAGE_BY_IMAGE
from kbench.data.views.augment import augmented_by_own, viewed
from kbench.data.views.hashed_random import sample_seed
from kbench.data.views.normalize import normalized_and_erased
from kbench.data.views.spec import Source, ViewedBatch, ViewSpec
from kbench.errors import WorkloadError


@dataclass(frozen=True)
class Arrays:
    """A data set that fits into memory, on the device: a Source."""

    x: Tensor  # images (n, c, h, w), uint8 pixels or float32 as a model takes them
    y: Tensor  # labels (n,) int64

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> "Arrays":
        """The same samples on ``device``."""
        return Arrays(self.x.to(device), self.y.to(device))

    @property
    def labels(self) -> Tensor | None:
        """(n,) int64: the class of each sample; None where a sample has no single one."""
        return self.y if self.y.ndim == 1 else None

    def at(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of the samples ``ids`` ((b,) int64 on the data's device), in that order."""
        return self.x[ids], self.y[ids]

    def batches(self, ids: Iterable[Tensor], view: ViewSpec) -> Iterator[ViewedBatch]:
        """Yield the samples of each of ``ids``, in that order.

        All of a batch is gathered and augmented at once; what torchvision and timm know for single images only is left
        to them, in processes that read, as for files.
        """
        if view.augment in IMAGE_BY_IMAGE or (view.augment == "resized-crop" and view.interpolation):
            yield from self._one_by_one.batches(ids, view)
            return
        for chunk in ids:
            on_device = chunk.to(self.y.device)
            x, y = self.at(on_device)
            yield on_device, viewed(x, on_device, view), y

    @cached_property
    def _one_by_one(self) -> "SampleReader":
        return SampleReader(PixelReader(self.x.cpu(), self.y.cpu()), self.y.device)


class Reader(Protocol):
    """Reads samples; it is copied to the worker processes.

    One that knows the class of each sample without reading it says so in ``labels``, (n,) int64.
    """

    def __len__(self) -> int: ...

    def read(self, sample: int, view: ViewSpec) -> tuple[Tensor, Tensor]:
        """Read one sample.

        Random numbers come from the global streams of torch, random and numpy, which were seeded for it.

        Returns:
            What it looks like, (c, h, w), of one shape for all; uint8 pixels are normalised afterwards.  Its label.

        Raises:
            WorkloadError: It cannot be read; the message names the file.
        """


@dataclass(frozen=True)
class PixelReader:
    """Images in memory, (n, c, h, w) uint8, read one by one as those of files are: a Reader."""

    x: Tensor
    y: Tensor  # labels (n,) int64

    def __len__(self) -> int:
        return len(self.y)

    def read(self, sample: int, view: ViewSpec) -> tuple[Tensor, Tensor]:
        """Read a sample as a view shows it, with random numbers of the global streams: (c, size, size) uint8, label.

        Raises:
            WorkloadError: The images are no pixels.
        """
        from torchvision.transforms.functional import to_pil_image

        from kbench.data.views.transforms import pipeline

        if self.x.dtype != torch.uint8:
            raise WorkloadError(
                f"augment {view.augment}: needs uint8 pixels, and these images are {self.x.dtype}",
                hint="take another augmentation, or write the images as uint8",
            )
        size = view.size or self.x.shape[-1]
        transform = pipeline(view.augment, size, view.resize, view.mean, view.interpolation)
        return transform(to_pil_image(self.x[sample])), self.y[sample]


class BatchRequest(NamedTuple):
    """A batch that a worker is to read."""

    ids: Tensor  # (b,) int64
    view: ViewSpec


class BatchDataset(Dataset[Any]):
    """Reads whole batches, in whichever process it is."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __getitem__(self, request: BatchRequest) -> ViewedBatch | WorkloadError:
        """Read a batch; an error is returned, as one raised in a worker comes with a traceback of many lines."""
        ids, view = request
        try:
            with random_streams_restored():
                samples = [self._sample(sample, view) for sample in ids.tolist()]
        except WorkloadError as error:
            return error
        return ids, torch.stack([x for x, _ in samples]), torch.stack([y for _, y in samples])

    def _sample(self, sample: int, view: ViewSpec) -> tuple[Tensor, Tensor]:
        seed = sample_seed(view.key, sample)
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        return self.reader.read(sample, view)


@contextmanager
def random_streams_restored() -> Iterator[None]:
    """Leave the global random streams of torch, random and numpy as they were."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])


@dataclass
class SampleReader:
    """The samples of a reader as a Source.  Its worker processes live as long as it does."""

    reader: Reader
    device: torch.device = torch.device("cpu")
    workers: int | None = None  # processes; None: as many as torch has threads here; 0: read in this process
    _requests: list[BatchRequest] = field(default_factory=list)  # that the DataLoader hands out next
    _iteration: int = 0

    def __post_init__(self) -> None:
        workers = torch.get_num_threads() if self.workers is None else self.workers
        self._loader: DataLoader[Any] = DataLoader(
            BatchDataset(self.reader),
            sampler=self._requests,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # or it would draw from the global stream
        )

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def labels(self) -> Tensor | None:
        """(n,) int64, on the device: the class of each sample; None where the reader does not know them."""
        known = getattr(self.reader, "labels", None)
        return None if known is None else torch.tensor(known, dtype=torch.int64, device=self.device)

    def to(self, device: torch.device) -> "SampleReader":
        """The same samples, brought to ``device``."""
        return SampleReader(self.reader, device, self.workers)

    def batches(self, ids: Iterable[Tensor], view: ViewSpec) -> Iterator[ViewedBatch]:
        """Yield the samples of each of ``ids`` ((b,) int64), in that order, as the view shows them.

        All of ``ids`` is taken before the first batch, and one iteration runs at a time: a second ends the first.

        Raises:
            WorkloadError: A sample cannot be read, or a worker process ended.
        """
        self._iteration += 1
        iteration, chunks = self._iteration, list(ids)
        if not chunks:
            return
        flat = torch.cat(chunks).cpu()  # once, as each copy waits for the device
        parts = torch.split(flat, [len(chunk) for chunk in chunks])
        own = view.augment if is_reference(view.augment) else ""  # done on the device, for whole batches
        read_view = replace(view, augment="none") if own else view
        self._requests[:] = [BatchRequest(part, read_view) for part in parts]
        for batch in self._read():
            if isinstance(batch, WorkloadError):
                raise batch
            on_device, x, y = (value.to(self.device, non_blocking=True) for value in batch)
            if own:
                x = augmented_by_own(x, on_device, target=own, key=view.key)
            yield on_device, normalized_and_erased(x, on_device, view), y
            if self._iteration != iteration:
                raise RuntimeError("another iteration over these samples has begun")

    def _read(self) -> Iterator[ViewedBatch | WorkloadError]:
        try:
            yield from self._loader
        except (RuntimeError, ConnectionError, EOFError) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise WorkloadError(
                f"a process that reads data ended: {why}",
                hint="it may have run out of memory: use fewer threads_per_rank, or ask for more memory",
            ) from error


SPOT_CHECKS = 64  # samples of each part that tell apart data that is read sample by sample


def identity_of(*parts: Source) -> str:
    """Twelve hex digits of samples in memory; of labels and some samples where they are read one by one."""
    total = hashlib.blake2b(digest_size=6)
    for part in parts:
        total.update(str(len(part)).encode())
        if isinstance(part, Arrays):
            tensors = [part.x, part.y]
        else:
            ids = torch.arange(0, len(part), max(1, len(part) // SPOT_CHECKS))
            tensors = [*([] if part.labels is None else [part.labels]), *next(iter(part.batches([ids], ViewSpec())))]
        for tensor in tensors:
            total.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
            total.update(tensor.detach().cpu().contiguous().numpy().data)
    return total.hexdigest()
