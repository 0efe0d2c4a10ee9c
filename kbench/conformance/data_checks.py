"""The checks of a data set: what every strategy and every rank relies on."""

import random
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kbench.conformance.checks import Answer, Check
from kbench.conformance.monitor import Finding
from kbench.data.loader import Arrays, SampleReader, identity_of, random_streams_restored
from kbench.data.store.prepare import OpenDataset, open_dataset
from kbench.data.views.spec import Source, ViewSpec
from kbench.errors import KBenchError

SOME = 24  # samples of each part that are read one by one
WORKERS = 2


class DataCase:
    """A data set under examination.

    Args:
        name: One of ``kbench data list``, or ``package.module:NAME``.
        root: The site's data root; empty: only those of $KBENCH_DATA.

    Raises:
        KBenchError: There is no such data set, it is missing, or has not as many samples as it says.
    """

    def __init__(self, name: str, *, root: str = "") -> None:
        self.name, self.root = name, root
        self.opened: OpenDataset = open_dataset(name, root)
        self.info = self.opened.info

    @property
    def parts(self) -> dict[str, Source]:
        """Both parts by name."""
        return {"train": self.opened.train, "val": self.opened.val}

    @cached_property
    def labels(self) -> dict[str, Tensor]:
        """(n,) int64 of each part; of some samples where a source does not know them."""
        return {part: self._labels(source) for part, source in self.parts.items()}

    def _labels(self, source: Source) -> Tensor:
        known = source.labels
        return known.cpu() if known is not None else read(source, some_ids(source), ViewSpec())[1]

    def class_counts(self) -> dict[str, list[int]]:
        """How many samples of each class each part has, as far as they are known; none where a label is no class."""
        n_classes = self.info.n_classes
        return {
            part: torch.bincount(y.clamp(0, n_classes - 1), minlength=n_classes).tolist()
            for part, y in self.labels.items()
            if y.ndim == 1
        }


def some_ids(source: Source) -> Tensor:
    """Ids spread over a part, (m,) int64."""
    return torch.arange(0, len(source), max(1, len(source) // SOME))[:SOME]


def read(source: Source, ids: Tensor, view: ViewSpec, *, each_in_its_own: bool = False) -> tuple[Tensor, Tensor]:
    """Images and labels of ``ids``, in one batch or each in its own."""
    chunks = list(torch.split(ids, 1)) if each_in_its_own else [ids]
    batches = list(source.batches(chunks, view))
    return torch.cat([x for _, x, _ in batches]), torch.cat([y for _, _, y in batches])


def labels(case: DataCase) -> Answer:
    """Check that labels are classes, all of which can be learnt."""
    for part, y in case.labels.items():
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= case.info.n_classes:
            what = f"its labels go from {low} to {high}"
            return Finding("labels", what, part, f"use 0 to {case.info.n_classes - 1}, or state other n_classes")
        source = case.parts[part]
        if source.labels is not None:
            ids = some_ids(source)
            if not torch.equal(read(source, ids, ViewSpec())[1].cpu(), y[ids]):
                return Finding(
                    "labels", "labels that it knows differ from those of its batches", part, "make them agree"
                )
    y = case.labels["train"]
    if y.ndim == 1 and case.opened.train.labels is not None:
        absent = sorted(set(range(case.info.n_classes)) - set(y.tolist()))
        if absent:
            do = "state as many n_classes as there are"
            return Finding("labels", f"no sample has the class {', '.join(map(str, absent[:5]))}", "train", do)
    return None


def shapes(case: DataCase) -> Answer:
    """Check what a model would get."""
    for part, source in case.parts.items():
        ids = some_ids(source)
        try:
            x, y = read(source, ids, _view(case))
        except KBenchError as error:
            return Finding("shapes", error.message, part, error.hint or "make it readable")
        except Exception as error:  # a reader of somebody's may raise anything
            return Finding("shapes", f"reading raised {type(error).__name__}: {error}", part, "read any of its ids")
        if list(x.shape) != [len(ids), *case.info.shape] or x.dtype != torch.float32:
            wanted = f"float32 {[len(ids), *case.info.shape]}"
            return Finding(
                "shapes", f"images are {x.dtype} {list(x.shape)}", part, f"state and give one shape: {wanted}"
            )
        if not x.isfinite().all():
            return Finding("shapes", "images hold numbers that are not finite", part, "leave them out, or mend them")
        if y.dtype != torch.int64:
            return Finding("shapes", f"labels are {y.dtype}", part, "give int64")
    return None


def same_twice(case: DataCase) -> Answer:
    """Check that a sample of an epoch looks the same whenever it is read."""
    for how in case.info.augments:
        view = _view(case, augment=how)
        ids = some_ids(case.opened.train)
        first, second = (read(case.opened.train, ids, view)[0] for _ in range(2))
        if not torch.equal(first, second):
            do = "draw only from the global streams, which are seeded for each sample"
            return Finding("same-twice", "a sample looks otherwise when it is read again", f"augment {how}", do)
    return None


def any_order(case: DataCase) -> Answer:
    """Check that neither the order of ids nor the batch changes a sample."""
    view = _view(case, augment=case.info.augments[-1])
    for part, source in case.parts.items():
        ids = some_ids(source).flip(0)
        single, together = (read(source, ids, view, each_in_its_own=each) for each in (True, False))
        backwards = tuple(value.flip(0) for value in read(source, ids.flip(0), view))
        for what, other in (("in a batch of its own", single), ("in another order", backwards)):
            if not all(torch.allclose(a.float(), b.float(), atol=1e-6) for a, b in zip(together, other, strict=True)):
                return Finding("any-order", f"a sample looks otherwise {what}", part, "read each id by itself")
    return None


def workers(case: DataCase) -> Answer:
    """Check that it makes no difference which process reads a sample."""
    source = case.opened.train
    if not isinstance(source, SampleReader):
        return "it lies in memory, and no process reads it"
    view, ids = _view(case, augment=case.info.augments[-1]), some_ids(source)
    here, there = (SampleReader(source.reader, workers=n) for n in (0, WORKERS))
    try:
        if not torch.equal(read(here, ids, view)[0], read(there, ids, view, each_in_its_own=True)[0]):
            do = "keep no state between samples, open files in read()"
            return Finding("workers", "other processes read other samples", f"{WORKERS} processes", do)
    except KBenchError as error:
        return Finding("workers", error.message, f"{WORKERS} processes", error.hint or "let it be copied to processes")
    return None


def streams(case: DataCase) -> Answer:
    """Check that reading draws from nobody else's random numbers."""
    before = _streams()
    for source in case.parts.values():
        read(source, some_ids(source), _view(case))
    moved = [name for name, state in _streams().items() if state != before[name]]
    what, do = f"reading moves the global stream of {', '.join(moved)}", "draw from a generator of its own"
    return Finding("streams", what, "its batches", do) if moved else None


def _streams() -> dict[str, str]:
    """The states of the global random streams, as text."""
    states = {"random": random.getstate(), "numpy": np.random.get_state()}
    return {
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
        **{key: repr(state) for key, state in states.items()},
    }


def opened_again(case: DataCase) -> Answer:
    """Check that every rank and every run would open the same samples."""
    with random_streams_restored():
        torch.default_generator.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        again = open_dataset(case.name, case.root)
    if identity_of(again.train, again.val) != identity_of(case.opened.train, case.opened.val):
        return Finding("opened-again", "opened again it holds other samples", "its load", "seed what it draws")
    return None


def apart(case: DataCase) -> Answer:
    """Check that nothing to validate on was trained on."""
    train, val = case.opened.train, case.opened.val
    if not (isinstance(train, Arrays) and isinstance(val, Arrays)):
        return "it is read sample by sample"
    seen = {row.tobytes() for row in train.x.flatten(1).cpu().numpy()}
    n_same = sum(row.tobytes() in seen for row in val.x.flatten(1).cpu().numpy())
    what = f"{n_same:,} of {len(val):,} validation images are training images as well"
    return Finding("apart", what, "val", "take them out of one part: accuracies would be too high") if n_same else None


def _view(case: DataCase, *, augment: str = "none") -> ViewSpec:
    return ViewSpec(augment=augment, key=1, mean=case.info.mean, std=case.info.std)


CHECKS = (
    Check("shapes", "gives finite float32 images of the shape that it states", shapes),
    Check("labels", "has labels of all its classes, and no others", labels),
    Check("same-twice", "shows a sample of an epoch alike whenever it is read", same_twice),
    Check("any-order", "shows a sample alike whatever the order and the batch", any_order),
    Check("workers", "reads alike in worker processes", workers),
    Check("streams", "leaves the random streams of others alone", streams),
    Check("opened-again", "holds the same samples whenever it is opened", opened_again),
    Check("apart", "validates on images that it does not train on", apart),
)
