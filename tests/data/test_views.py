"""Views made in batches: crops, flips, cutout, erasing, against slow ones made image by image."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional

from kbench.data.loader import Arrays
from kbench.data.views.augment import PAD, augmented, resized, resized_crop, shifted, viewed
from kbench.data.views.hashed_random import TRIES, random_boxes, salted, sample_seed, uniform
from kbench.data.views.normalize import ERASED_AREA, ERASED_RATIO, cut_out, erased, normalized_and_erased
from kbench.data.views.spec import ViewSpec

N = 400
IDS = torch.arange(N)
PIXELS = torch.randint(1, 256, (N, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def rare(n: int, p: float) -> float:
    """A deviation of a count that chance makes less than once in ten thousand."""
    return 4 * (n * p * (1 - p)) ** 0.5


def test_crop_and_flip_is_a_piece_after_padding_mirrored_or_not() -> None:
    views = augmented(PIXELS, IDS, how="crop-flip", key=3)
    assert views.dtype == torch.uint8
    seen: Counter[tuple[int, int, bool]] = Counter()
    for image, view in zip(PIXELS.numpy(), views.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (PAD, PAD), (PAD, PAD)))
        fits = [
            (top, left, mirror)
            for top in range(9)
            for left in range(9)
            for mirror in (False, True)
            if np.array_equal(view[:, :, ::-1] if mirror else view, padded[:, top : top + 16, left : left + 16])
        ]
        assert len(fits) == 1
        seen[fits[0]] += 1
    assert abs(sum(n for (_, _, mirror), n in seen.items() if mirror) - N / 2) < rare(N, 0.5)
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(9))


def test_flips_and_crops_come_alone_as_well() -> None:
    flips = augmented(PIXELS, IDS, how="flip", key=3)
    same = (flips == PIXELS).flatten(1).all(1)
    assert torch.equal(flips[~same], PIXELS[~same].flip(3)) and abs(int(same.sum()) - N / 2) < rare(N, 0.5)
    crops = augmented(PIXELS, IDS, how="crop", key=3)
    mirror = ~(augmented(PIXELS, IDS, how="crop-flip", key=3) == crops).flatten(1).all(1)
    assert torch.equal(mirror, ~same)  # the flip is the same number, whatever else is asked for


def test_one_purpose_tells_nothing_about_another() -> None:
    ids = torch.arange(20_000)
    streams = [uniform(salted(7, name), ids, 1)[:, 0] for name in ("crop", "flip", "cutout", "erase")]
    correlations = torch.corrcoef(torch.stack([*streams, uniform(7, ids, 1)[:, 0]]))
    assert float((correlations - torch.eye(5)).abs().max()) < 5 / math.sqrt(len(ids))


def test_a_samples_seed_is_its_own() -> None:
    seeds = {sample_seed(key, sample) for key in range(20) for sample in range(500)}
    assert len(seeds) == 10_000 and all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("how", ["none", "flip", "crop", "crop-flip", "resized-crop"])
@pytest.mark.parametrize("size", [0, 24])
def test_an_array_looks_the_same_in_any_order_and_company(how: str, size: int) -> None:
    view = ViewSpec(augment=how, key=11, size=size, cutout=6, erase=0.5, mean=(0.5,) * 3, std=(0.2,) * 3)
    source = Arrays(PIXELS, IDS % 10)
    everyone = next(source.batches([IDS], view))[1]
    assert everyone.shape[1:] == (3, size or 16, size or 16) and everyone.dtype == torch.float32
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    for ids, x, y in source.batches(order.split(33), view):
        assert torch.allclose(x, everyone[ids], atol=1e-5) and torch.equal(y, ids % 10)


def test_a_resized_crop_is_torchvisions_of_the_same_box() -> None:
    views = resized_crop(PIXELS[:60], IDS[:60], key=5, size=20)
    numbers = uniform(salted(5, "resized-crop"), IDS[:60], 2 * TRIES + 2)
    boxes = torch.stack(random_boxes(numbers, h=16, w=16, area=(0.08, 1.0), ratio=(3 / 4, 4 / 3)), 1)
    mirrored = uniform(salted(5, "flip"), IDS[:60], 1)[:, 0] < 0.5
    for image, view, (top, left, height, width, fits), mirror in zip(
        PIXELS, views, boxes.tolist(), mirrored.tolist(), strict=False
    ):
        assert fits
        cut = functional.crop(image.float() / 255, int(top), int(left), int(height), int(width))
        theirs = functional.resize(cut, [20, 20], antialias=False)
        inner = (slice(None), slice(2, -2), slice(2, -2))  # at its edge theirs repeats, ours sees what lies beyond
        assert torch.allclose((view.flip(2) if mirror else view)[inner], theirs[inner], atol=2e-3)


def boxes_slowly(
    numbers: np.ndarray, h: int, w: int, area: tuple[float, float], ratio: tuple[float, float], full: bool
) -> list[float]:
    """The first of ten tries that fits, as torchvision's RandomResizedCrop goes, or RandomErasing: not ``full``."""
    for i in range(TRIES):
        wanted = (area[0] + numbers[i] * (area[1] - area[0])) * h * w
        aspect = math.exp(math.log(ratio[0]) + numbers[TRIES + i] * (math.log(ratio[1]) - math.log(ratio[0])))
        width, height = round(math.sqrt(wanted * aspect)), round(math.sqrt(wanted / aspect))
        if 0 < width <= w and 0 < height <= h and (full or (width < w and height < h)):
            break
    else:
        return []
    return [int(numbers[-2] * (h - height + 1)), int(numbers[-1] * (w - width + 1)), height, width]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("h", "w"), [(16, 16), (10, 30)])
@pytest.mark.parametrize(
    ("area", "ratio"), [((0.08, 1.0), (3 / 4, 4 / 3)), (ERASED_AREA, ERASED_RATIO), ((0.9, 1), (4, 5))]
)
def test_boxes_are_the_first_try_that_fits(
    h: int, w: int, area: tuple[float, float], ratio: tuple[float, float], full: bool
) -> None:
    numbers = uniform(9, IDS, 2 * TRIES + 2)
    *edges, fits = random_boxes(numbers, h=h, w=w, area=area, ratio=ratio, full=full)
    for row, box, good in zip(numbers.double().numpy(), torch.stack(edges, 1).tolist(), fits.tolist(), strict=True):
        slowly = boxes_slowly(row, h, w, area, ratio, full)
        assert good == bool(slowly) and (not good or box == slowly)


@pytest.mark.parametrize("side", [1, 2, 6, 7, 40])
def test_cutout_blanks_a_square_around_any_pixel(side: int) -> None:
    at = uniform(3, IDS, 2)
    views = cut_out(PIXELS.float(), at, side=side)
    for image, view, (y, x) in zip(PIXELS.float().numpy(), views.numpy(), at.tolist(), strict=True):
        row, column = int(y * 16), int(x * 16)
        expected = image.copy()  # uoguelph-mlrg/Cutout, as angelajiang/SelectiveBackprop has it
        rows = slice(max(0, row - side // 2), max(0, min(16, row + side // 2)))
        expected[:, rows, max(0, column - side // 2) : max(0, min(16, column + side // 2))] = 0
        assert np.array_equal(view, expected)


@pytest.mark.parametrize("chance", [0.1, 0.5])
@pytest.mark.parametrize("noisy", [False, True])
def test_erasing_replaces_one_rectangle_of_some_images(chance: float, noisy: bool) -> None:
    x = PIXELS.float()
    views = erased(x, IDS, key=4, probability=chance, noisy=noisy)
    changed = (views != x).any(1)
    assert abs(int(changed.flatten(1).any(1).sum()) - chance * N) < rare(N, chance)
    written = []
    for mask, view in zip(changed, views, strict=True):
        if mask.any():
            rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
            box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert box.all() and 0.015 < box.numel() / 256 < 0.36
            written.append(view[:, mask].flatten())
    values = torch.cat(written)
    if noisy:
        assert abs(float(values.mean())) < 5 / len(values) ** 0.5 and abs(float(values.std()) - 1) < 0.05
    else:
        assert not values.any()


def test_pixels_are_normalised_by_channel_and_blanked_afterwards() -> None:
    mean, std = (0.2, 0.4, 0.6), (0.1, 0.2, 0.3)
    x = normalized_and_erased(PIXELS, IDS, ViewSpec(mean=mean, std=std))
    for channel in range(3):
        expected = (PIXELS[:, channel].double() / 255 - mean[channel]) / std[channel]
        assert torch.allclose(x[:, channel].double(), expected, atol=1e-5)
    blanked = normalized_and_erased(PIXELS, IDS, ViewSpec(key=1, cutout=4, mean=mean, std=std))
    changed = (blanked != x).any(1)
    assert not blanked[changed[:, None].expand_as(x)].any() and changed.flatten(1).any(1).all()


@pytest.mark.parametrize(("resize", "size"), [(0, 0), (0, 24), (20, 16), (32, 28), (0, 10)])
def test_validation_images_are_resized_and_their_centre_is_kept(resize: int, size: int) -> None:
    x = PIXELS[:20].float() / 255
    ours = resized(PIXELS[:20], ViewSpec(resize=resize, size=size))
    theirs = functional.resize(x, [resize or size or 16], antialias=True)
    theirs = functional.center_crop(theirs, [size or 16])
    assert torch.allclose(normalized_and_erased(ours, IDS[:20], ViewSpec()), theirs, atol=1e-5)


def test_nothing_random_happens_to_validation_images() -> None:
    looks = [viewed(PIXELS, IDS, ViewSpec(key=key, size=20, resize=24)) for key in (0, 1)]
    assert torch.equal(*looks)


@pytest.mark.parametrize(
    "work", [lambda x, ids: viewed(x, ids, ViewSpec(augment="resized-crop", key=1, cutout=3, erase=0.5))]
)
def test_views_leave_the_images_and_the_global_stream_alone(work: Callable[[Tensor, Tensor], Tensor]) -> None:
    before, state = PIXELS.clone(), torch.get_rng_state()
    work(PIXELS, IDS)
    assert torch.equal(PIXELS, before) and torch.equal(torch.get_rng_state(), state)


def test_a_shift_of_bytes_is_a_shift_of_numbers() -> None:
    at = uniform(2, IDS, 2)
    assert torch.equal(shifted(PIXELS, at, pixels=4).float(), shifted(PIXELS.float(), at, pixels=4))
