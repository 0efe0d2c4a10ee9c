"""Samples that are read one by one: worker processes, a seed for each sample, its id beside it."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from kbench.data.views.hashed_random import sample_seed
from kbench.data.views.normalize import finished
from kbench.data.views.spec import Looked, View
from kbench.errors import WorkloadError


class Reader(Protocol):
    """Reads samples; it is copied to the worker processes."""

    def __len__(self) -> int: ...

    def read(self, sample: int, view: View) -> tuple[Tensor, Tensor]:
        """What a sample looks like and its label, of one shape for all.

        Random numbers come from the global streams of torch, random and numpy, which were seeded for
        this sample.  uint8 pixels are normalised afterwards.  Raises WorkloadError that names the file.
        """


class Wanted(NamedTuple):
    """A batch that is asked for."""

    ids: Tensor
    view: View


class Failed(NamedTuple):
    """What went wrong in a worker; raised there, it would come with a traceback of many lines."""

    message: str
    hint: str


class Batches(Dataset[Any]):
    """Reads whole batches, in whichever process it is."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __getitem__(self, wanted: Wanted) -> Looked | Failed:
        ids, view = wanted
        try:
            with streams_put_back():
                read = [self._one(sample, view) for sample in ids.tolist()]
        except WorkloadError as error:
            return Failed(error.message, error.hint)
        return ids, torch.stack([x for x, _ in read]), torch.stack([y for _, y in read])

    def _one(self, sample: int, view: View) -> tuple[Tensor, Tensor]:
        seed = sample_seed(view.key, sample)
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        return self.reader.read(sample, view)


@contextmanager
def streams_put_back() -> Iterator[None]:
    """Leave the global random streams as they were."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])


class Waiting(Sampler[Wanted]):
    """The batches that are asked for next."""

    def __init__(self) -> None:
        self.batches: list[Wanted] = []

    def __iter__(self) -> Iterator[Wanted]:
        return iter(self.batches)


@dataclass
class SampleReader:
    """The samples of a reader as a Source.  Its workers live as long as it does.

    ``workers`` are processes, None: as many as torch has threads here; 0 reads in this process.
    """

    reader: Reader
    device: torch.device = torch.device("cpu")
    workers: int | None = None
    _waiting: Waiting = field(default_factory=Waiting)
    _turn: int = 0

    def __post_init__(self) -> None:
        workers = torch.get_num_threads() if self.workers is None else self.workers
        self._loader: DataLoader[Any] = DataLoader(
            Batches(self.reader),
            sampler=self._waiting,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # or it would draw from the global stream
        )

    def __len__(self) -> int:
        return len(self.reader)

    def to(self, device: torch.device) -> "SampleReader":
        """The same samples, brought to ``device``."""
        return SampleReader(self.reader, device, self.workers)

    def batches(self, ids: Iterable[Tensor], view: View) -> Iterator[Looked]:
        """Look at the samples of each of ``ids``, in that order.

        All of ``ids`` is taken before the first batch, and one look at a time: a second ends the first.
        """
        self._turn += 1
        turn, chunks = self._turn, list(ids)
        if not chunks:
            return
        flat = torch.cat(chunks).cpu()  # once, as each copy waits for the device
        self._waiting.batches = [Wanted(part, view) for part in torch.split(flat, [len(chunk) for chunk in chunks])]
        for found in self._found():
            if isinstance(found, Failed):
                raise WorkloadError(found.message, hint=found.hint)
            there, x, y = (value.to(self.device, non_blocking=True) for value in found)
            yield there, finished(x, there, view), y
            if self._turn != turn:
                raise RuntimeError("another look at these samples has begun")

    def _found(self) -> Iterator[Looked | Failed]:
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


def _as_it_is(batch: Any) -> Any:
    return batch
