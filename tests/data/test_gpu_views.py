"""What a sample looks like does not depend on the device, nor on how it got there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kbench.data.loader import Arrays, SampleReader
from kbench.data.store import prepare
from kbench.data.views.spec import ViewSpec

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
HOW = {"key": 3, "size": 24, "erase": 0.5, "cutout": 6, "mean": (0.5,) * 3, "std": (0.2,) * 3}


@pytest.mark.parametrize("how", ["none", "flip", "crop", "crop-flip", "resized-crop"])
def test_arrays_look_the_same_on_the_gpu(how: str) -> None:
    x = torch.randint(256, (64, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    source, ids, view = Arrays(x, torch.arange(64)), torch.randperm(64), ViewSpec(augment=how, **HOW)
    _, here, _ = next(source.batches([ids], view))
    at, there, y = next(source.to(torch.device("cuda")).batches([ids], view))
    assert there.is_cuda and torch.equal(at.cpu(), ids) and torch.equal(y.cpu(), ids)
    assert torch.allclose(there.cpu(), here, atol=1e-4)


@pytest.mark.parametrize("how", ["none", "resized-crop", "trivial", "randaugment-flips"])
def test_files_look_the_same_on_the_gpu(how: str, root_of: Callable[[str], Path]) -> None:
    train = prepare.open_dataset("folder:pets", str(root_of("folder:pets"))).train
    assert isinstance(train, SampleReader)
    view, chunks = ViewSpec(augment=how, **HOW), torch.randperm(24).split(10)
    plain, pinned = SampleReader(train.reader, workers=0), SampleReader(train.reader, torch.device("cuda"), workers=2)
    for (ids, here, y), (at, there, label) in zip(
        plain.batches(chunks, view), pinned.batches(chunks, view), strict=True
    ):
        assert there.is_cuda and torch.equal(at.cpu(), ids) and torch.equal(label.cpu(), y)
        assert torch.allclose(there.cpu(), here, atol=1e-4)
