"""Samples that worker processes read: their views belong to them, their ids stay with them, nothing else is moved."""

import gc
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.data.loader import SampleReader
from kbench.data.store import prepare
from kbench.data.store.images import ImageReader
from kbench.data.views.spec import ViewSpec
from kbench.errors import WorkloadError

HOWS = ["none", "resized-crop", "trivial", "randaugment", "randaugment-flips"]
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def reader(root_of: Callable[[str], Path]) -> ImageReader:
    train = prepare.open_dataset("folder:pets", str(root_of("folder:pets"))).train
    assert isinstance(train, SampleReader) and isinstance(train.reader, ImageReader)
    return train.reader


def looked(source: SampleReader, chunks: list[list[int]], view: ViewSpec) -> dict[int, bytes]:
    """How each sample looked, by its id; the same twice if it came twice."""
    seen: dict[int, bytes] = {}
    for ids, x, _ in source.batches([torch.tensor(chunk) for chunk in chunks], view):
        for i, image in zip(ids.tolist(), x, strict=True):
            assert seen.setdefault(i, image.numpy().tobytes()) == image.numpy().tobytes()
    return seen


@pytest.mark.parametrize("how", HOWS)
def test_a_sample_looks_the_same_in_any_order_company_and_process(how: str, reader: ImageReader) -> None:
    view = ViewSpec(augment=how, key=5, size=24, mean=MEAN, std=STD, erase=0.5)
    alone = looked(SampleReader(reader, workers=0), [[i] for i in range(24)], view)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0)).tolist()
    mixed = looked(SampleReader(reader, workers=2), [order[:7], order[7:8], order[8:] + order[:3]], view)
    assert mixed == alone


@pytest.mark.parametrize("how", HOWS[1:])
def test_another_epoch_shows_other_views(how: str, reader: ImageReader) -> None:
    source = SampleReader(reader, workers=0)
    first, second = (looked(source, [list(range(24))], ViewSpec(augment=how, key=key, size=24)) for key in (1, 2))
    assert sum(first[i] != second[i] for i in first) >= 22


def test_ids_and_labels_stay_with_their_images(reader: ImageReader) -> None:
    source, plain = SampleReader(reader, workers=2), ViewSpec(size=24)
    chunks = [torch.tensor([3, 3, 17]), torch.tensor([20]), torch.tensor([0, 5])]
    for chunk, (ids, x, y) in zip(chunks, source.batches(chunks, plain), strict=True):
        assert torch.equal(ids, chunk) and y.tolist() == reader.index.label[chunk.numpy()].tolist()
        for i, image in zip(ids.tolist(), x, strict=True):
            assert torch.equal(image, reader.read(i, plain)[0].float() / 255)


def test_the_centre_is_cut_from_an_image_of_which_one_eighth_more_is_kept(reader: ImageReader) -> None:
    from torchvision.transforms import functional

    _, x, _ = next(SampleReader(reader, workers=0).batches([torch.tensor([4])], ViewSpec(size=28)))
    image = functional.center_crop(functional.resize(reader.image(4), [32]), [28])
    assert torch.equal(x[0], functional.pil_to_tensor(image).float() / 255)
    _, x, _ = next(SampleReader(reader, workers=0).batches([torch.tensor([4])], ViewSpec(size=28, resize=40)))
    image = functional.center_crop(functional.resize(reader.image(4), [40]), [28])
    assert torch.equal(x[0], functional.pil_to_tensor(image).float() / 255)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_random_streams_are_left_alone(workers: int, reader: ImageReader) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    looked(SampleReader(reader, workers=workers), [[1, 2], [3]], ViewSpec(augment="randaugment", size=24))
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # type: ignore[index]


class Numbers:
    """Samples that are their ids; the one called ``bad`` cannot be read, at ``end`` the process ends."""

    def __init__(self, bad: int = -1, end: int = -1) -> None:
        self.bad, self.end = bad, end

    def __len__(self) -> int:
        return 100

    def read(self, sample: int, view: ViewSpec) -> tuple[Tensor, Tensor]:
        if sample == self.bad:
            raise WorkloadError("numbers/7.txt is damaged", hint="get it again")
        if sample == self.end:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.tensor([float(sample)]), torch.tensor(sample)


def values(batches: Iterator[tuple[Tensor, Tensor, Tensor]]) -> list[int]:
    return [int(i) for ids, x, y in batches for i in ids if i in x and i in y]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_is_one_sentence_whoever_reads_it(workers: int) -> None:
    source = SampleReader(Numbers(bad=7), workers=workers)
    with pytest.raises(WorkloadError, match="^numbers/7.txt is damaged$") as caught:
        values(source.batches(torch.arange(20).split(4), ViewSpec()))
    assert caught.value.hint == "get it again"
    assert values(source.batches([torch.tensor([1, 2])], ViewSpec())) == [1, 2]  # and the next look goes on


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # torch says it again as it tidies up
def test_a_process_that_was_killed_is_told() -> None:
    source = SampleReader(Numbers(end=7), workers=1)
    with pytest.raises(WorkloadError, match="^a process that reads data ended: "):
        values(source.batches(torch.arange(20).split(4), ViewSpec()))
    del source
    gc.collect()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_look_that_was_left_does_not_leak_into_the_next(workers: int) -> None:
    source = SampleReader(Numbers(), workers=workers)
    for start in (0, 40, 80):
        first = source.batches(torch.arange(start, start + 20).split(2), ViewSpec())
        assert next(first)[0].tolist() == [start, start + 1]
    assert values(source.batches([torch.tensor([5, 6])], ViewSpec())) == [5, 6]


def test_a_look_goes_no_further_when_another_has_begun() -> None:
    source = SampleReader(Numbers(), workers=2)
    first = source.batches(torch.arange(20).split(2), ViewSpec())
    next(first)
    next(source.batches([torch.tensor([50])], ViewSpec()))
    with pytest.raises(RuntimeError, match="another iteration over these samples has begun"):
        next(first)


def test_nobody_asked_for_is_nobody_seen() -> None:
    assert list(SampleReader(Numbers(), workers=0).batches([], ViewSpec())) == []
