"""The digits: every image once, split for good."""

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from kbench.data import DATASETS
from kbench.data.loader import Arrays
from kbench.data.sources.digits import load


@pytest.fixture(scope="module")
def split() -> tuple[Arrays, Arrays]:
    return load()


@pytest.fixture(scope="module")
def raw() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels


def held_out_slowly(labels: np.ndarray) -> list[int]:
    """Go through the data and hold out each class's fifth, tenth, ... sample."""
    seen: Counter[int] = Counter()
    held = []
    for i, label in enumerate(labels.tolist()):
        seen[label] += 1
        if seen[label] % 5 == 0:
            held.append(i)
    return held


def test_there_are_1442_training_and_355_validation_samples(split: tuple[Arrays, Arrays]) -> None:
    assert [len(part) for part in split] == [1442, 355]


def test_the_entry_of_the_digits_is_true(split: tuple[Arrays, Arrays]) -> None:
    info, (train, val) = DATASETS["digits"], split
    assert (info.n_train, info.n_val, info.n_classes) == (len(train), len(val), len(train.y.unique()))
    assert train.x.shape[1:] == val.x.shape[1:] == info.shape


def test_the_validation_set_is_every_fifth_of_a_class(
    split: tuple[Arrays, Arrays], raw: tuple[np.ndarray, np.ndarray]
) -> None:
    (train, val), (pixels, labels) = split, raw
    held = held_out_slowly(labels)
    rest = sorted(set(range(len(labels))) - set(held))
    mean, deviation = pixels[rest].mean(), pixels[rest].std(ddof=1)
    for part, ids in ((val, held), (train, rest)):
        assert part.y.tolist() == labels[ids].tolist()
        assert np.allclose(part.x.view(-1, 64).numpy(), (pixels[ids] - mean) / deviation, atol=1e-5)


def test_every_image_is_in_one_part_once(split: tuple[Arrays, Arrays], raw: tuple[np.ndarray, np.ndarray]) -> None:
    both = torch.cat([part.x.flatten(1) for part in split]).double().numpy()
    lowest, highest = both.min(), both.max()
    restored = np.rint((both - lowest) / (highest - lowest) * 16).astype(int)  # grey levels 0 to 16
    labels = torch.cat([part.y for part in split]).tolist()
    assert Counter(zip(map(bytes, restored.astype(np.uint8)), labels, strict=True)) == Counter(
        zip(map(bytes, raw[0].astype(np.uint8)), raw[1].tolist(), strict=True)
    )


def test_no_image_is_in_both_parts(split: tuple[Arrays, Arrays]) -> None:
    train, val = ({image.numpy().tobytes() for image in part.x} for part in split)
    assert not train & val


def test_each_class_has_a_fifth_held_out(split: tuple[Arrays, Arrays]) -> None:
    train, val = (torch.bincount(part.y, minlength=10) for part in split)
    assert val.tolist() == ((train + val) // 5).tolist()


def test_training_pixels_have_mean_0_and_deviation_1(split: tuple[Arrays, Arrays]) -> None:
    x = split[0].x
    assert x.dtype == torch.float32
    assert float(x.mean()) == pytest.approx(0, abs=1e-5) and float(x.std()) == pytest.approx(1, abs=1e-5)


def test_the_split_is_fixed(split: tuple[Arrays, Arrays]) -> None:
    torch.manual_seed(99)
    for first, again in zip(split, load(), strict=True):
        assert torch.equal(first.x, again.x) and torch.equal(first.y, again.y)


def test_samples_come_in_the_order_asked_for(split: tuple[Arrays, Arrays]) -> None:
    ids = torch.tensor([7, 3, 7, 1441])
    x, y = split[0].at(ids)
    for i, one, label in zip(ids.tolist(), x, y, strict=True):
        assert torch.equal(one, split[0].x[i]) and label == split[0].y[i]
