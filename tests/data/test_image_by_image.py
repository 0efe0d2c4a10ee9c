"""Arrays seen as torchvision and timm see single images: RandAugment, jitter, interpolation, the mode of erasing."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import create_transform
from torch import Tensor
from torchvision.transforms import functional

from kbench.data.loader import Arrays, SampleReader
from kbench.data.views.augment import resized
from kbench.data.views.hashed_random import sample_seed
from kbench.data.views.normalize import normalized_and_erased
from kbench.data.views.spec import ViewSpec

N, KEY = 40, 11
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMOOTH = torch.randint(0, 256, (N, 3, 8, 8), generator=torch.Generator().manual_seed(0)).float()
PIXELS = torch.nn.functional.interpolate(SMOOTH, (32, 32), mode="bilinear").to(torch.uint8)
IDS = torch.arange(N)


@pytest.fixture(scope="module")
def source() -> Iterator[Arrays]:
    """Images in memory, read in this process."""
    arrays = Arrays(PIXELS, IDS % 10)
    reader = arrays._one_by_one
    arrays.__dict__["_one_by_one"] = SampleReader(reader.reader, workers=0)
    yield arrays


def images() -> Iterator[Image.Image]:
    for x in PIXELS:
        yield Image.fromarray(x.permute(1, 2, 0).numpy())


def seeded(sample: int) -> None:
    seed = sample_seed(KEY, sample)
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@pytest.mark.parametrize(
    ("augment", "interpolation", "timms"),
    [
        ("randaugment", "bicubic", {"auto_augment": "rand-m9-mstd0.5-inc1"}),
        ("randaugment", "", {"auto_augment": "rand-m9-mstd0.5-inc1", "interpolation": "random"}),
        ("randaugment-flips", "bilinear", {"auto_augment": "rand-m9-mstd0.5-inc1", "vflip": 0.5}),
        ("color-jitter", "random", {"color_jitter": 0.4}),
        ("resized-crop", "bicubic", None),
    ],
)
def test_an_array_looks_as_timm_shows_the_image_with_the_same_numbers(
    source: Arrays, augment: str, interpolation: str, timms: dict[str, Any] | None
) -> None:
    view = ViewSpec(augment=augment, interpolation=interpolation, size=48, key=KEY, mean=MEAN, std=STD)
    _, x, y = next(source.batches([IDS], view))
    assert torch.equal(y, IDS % 10)
    for sample, image in enumerate(images()):
        seeded(sample)
        if timms is None:
            from torchvision.transforms import InterpolationMode, v2

            crop = v2.RandomResizedCrop(48, interpolation=InterpolationMode.BICUBIC)
            image = v2.RandomHorizontalFlip()(crop(image))
            expected = functional.normalize(functional.to_tensor(image), MEAN, STD)
        else:
            options = {"interpolation": interpolation or "random", **timms}
            transform = create_transform(48, is_training=True, mean=MEAN, std=STD, **options)
            expected = transform(image)
        assert torch.allclose(x[sample], expected, atol=1e-5), sample


def test_an_array_looks_the_same_in_any_order_and_in_its_repetition(source: Arrays) -> None:
    view = ViewSpec(augment="randaugment", key=KEY, mean=MEAN, std=STD)
    whole = next(source.batches([IDS], view))[1]
    order = torch.tensor([7, 3, 7, 20])
    assert torch.equal(next(source.batches([order], view))[1], whole[order])
    other = ViewSpec(augment="randaugment", key=KEY + 1, mean=MEAN, std=STD)
    assert not torch.equal(next(source.batches([IDS], other))[1], whole)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "size"), [(64, 56), (24, 20)])
def test_evaluation_resizes_as_pillow_does(mode: str, resize: int, size: int) -> None:
    own = normalized_and_erased(
        resized(PIXELS, ViewSpec(resize=resize, size=size, interpolation=mode)), IDS, ViewSpec()
    )
    resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[mode]
    for view, image in zip(own, images(), strict=True):
        large = image.resize((resize, resize), resample)
        expected = functional.to_tensor(functional.center_crop(large, [size, size]))
        assert float((view - expected).abs().max()) < 1.5 / 255  # Pillow rounds to 8 bits, twice


def test_pixels_are_erased_with_timms_noise_or_with_nothing() -> None:
    x, n = torch.zeros(4000, 3, 16, 16), 4000
    ids = torch.arange(n)
    noise = normalized_and_erased(x, ids, ViewSpec(augment="crop-flip", erase=0.25, erase_mode="pixel", key=KEY))
    none = normalized_and_erased(x + 1, ids, ViewSpec(augment="randaugment", erase=0.25, erase_mode="const", key=KEY))
    torch.manual_seed(0)
    erase: Any = RandomErasing(0.25, mode="pixel", device="cpu")  # type: ignore[no-untyped-call]
    timms = erase(x.clone())

    def facts(views: Tensor) -> tuple[float, float, float]:
        """How many were erased, of what share of their pixels, and the deviation of what stands there."""
        erased = (views != 0).any(1)
        some = erased.flatten(1).any(1)
        return float(some.float().mean()), float(erased[some].float().mean()), float(views[views != 0].std())

    for own, timm_s, tolerance in zip(facts(noise), facts(timms), (0.04, 0.02, 0.02), strict=True):
        assert own == pytest.approx(timm_s, abs=tolerance)
    blank = (none == 0).any(1)
    assert torch.equal(blank, (noise != 0).any(1)) and bool(((none == 0) | (none == 1)).all())
