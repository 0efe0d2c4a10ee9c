"""Views of images: small shifts that belong to the sample."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.data.views.augment import augmented, shifted
from kbench.data.views.hashed_random import uniform

IDS = torch.arange(300)
IMAGES = torch.rand(300, 2, 8, 8, generator=torch.Generator().manual_seed(0)) + 1  # nowhere zero


def moved_slowly(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move an image (c, h, w) over a black ground, pixel by pixel."""
    out = np.zeros_like(image)
    _, h, w = image.shape
    for row in range(h):
        for column in range(w):
            if 0 <= row - down < h and 0 <= column - right < w:
                out[:, row, column] = image[:, row - down, column - right]
    return out


def shift_of(view: Tensor, image: Tensor) -> tuple[int, int]:
    """By how much ``view`` is ``image`` moved; fails when it is by more than one pixel."""
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    found = [step for step in steps if np.array_equal(view.numpy(), moved_slowly(image.numpy(), *step))]
    assert len(found) == 1
    return found[0]


def test_shift_moves_each_image_by_at_most_one_pixel_over_black() -> None:
    views = augmented(IMAGES, IDS, how="shift", key=11)
    assert views.shape == IMAGES.shape and views.dtype == IMAGES.dtype
    seen = Counter(shift_of(view, image) for view, image in zip(views, IMAGES, strict=True))
    assert len(seen) == 9  # all of them come up
    assert max(abs(n - 300 / 9) for n in seen.values()) < 4 * (300 * (1 / 9) * (8 / 9)) ** 0.5


@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_shift_follows_its_numbers(pixels: int) -> None:
    at = uniform(3, IDS[:40], 2)
    views = shifted(IMAGES[:40], at, pixels=pixels)
    for view, image, (down, right) in zip(views, IMAGES, at.tolist(), strict=False):
        steps = (int(down * (2 * pixels + 1)), int(right * (2 * pixels + 1)))
        assert np.array_equal(view.numpy(), moved_slowly(image.numpy(), pixels - steps[0], pixels - steps[1]))


@pytest.mark.parametrize("pixels", range(1, 9))
def test_the_largest_number_shifts_no_further_than_asked(pixels: int) -> None:
    largest = torch.full((1, 2), 1 - 2**-24)
    view = shifted(IMAGES[:1], largest, pixels=pixels)
    assert np.array_equal(view[0].numpy(), moved_slowly(IMAGES[0].numpy(), -pixels, -pixels))


@pytest.mark.parametrize("how", ["none", "shift"])
def test_a_sample_looks_the_same_in_any_order_and_company(how: str) -> None:
    everyone = augmented(IMAGES, IDS, how=how, key=11)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    assert torch.equal(augmented(IMAGES[order], order, how=how, key=11), everyone[order])
    assert torch.equal(augmented(IMAGES[7:8], IDS[7:8], how=how, key=11), everyone[7:8])


def test_a_repeated_sample_looks_the_same_twice() -> None:
    twice = torch.tensor([5, 5])
    first, second = augmented(IMAGES[twice], twice, how="shift", key=11)
    assert torch.equal(first, second)


def test_another_key_shows_other_views() -> None:
    first, second = (augmented(IMAGES, IDS, how="shift", key=key) for key in (1, 2))
    same = (first == second).flatten(1).all(1).float().mean()
    assert abs(same - 1 / 9) < 4 * (1 / 9 * 8 / 9 / 300) ** 0.5


def test_none_is_the_identity() -> None:
    assert torch.equal(augmented(IMAGES, IDS, how="none", key=11), IMAGES)


def test_the_images_given_are_not_changed() -> None:
    before = IMAGES.clone()
    augmented(IMAGES, IDS, how="shift", key=11)
    assert torch.equal(IMAGES, before)


def test_the_global_random_stream_is_left_alone() -> None:
    before = torch.get_rng_state()
    augmented(IMAGES, IDS, how="shift", key=11)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="upside-down"):
        augmented(IMAGES, IDS, how="upside-down", key=11)
