"""Fewer samples, a long tail and noisy labels: counts, chance, and that a sample stays what it was."""

from collections import Counter
from typing import Any

import pytest
import torch

from kbench.config.recipe import Recipe
from kbench.data.altered import altered
from kbench.data.loader import Arrays
from kbench.data.views.spec import Source, ViewSpec
from kbench.errors import WorkloadError

N, C = 1000, 10
LABELS = torch.arange(N) % C
DIGITS = Arrays(torch.arange(N, dtype=torch.float32)[:, None, None, None], LABELS)  # each sample shows its id


def seen(source: Source) -> list[tuple[int, int, int]]:
    """What all batches of a source show: own id, id in the data set, label."""
    ids = torch.arange(len(source)).split(64)
    rows = []
    for index, x, y in source.batches(ids, ViewSpec()):
        rows += zip(index.tolist(), x.flatten().int().tolist(), y.tolist(), strict=True)
    return rows


def of(seed: int = 0, source: Arrays = DIGITS, **recipe: Any) -> Source:
    return altered(source, Recipe(epochs=1, global_batch=10, lr=0.1, **recipe), n_classes=C, seed=seed)


def test_at_the_defaults_the_source_is_what_it_was() -> None:
    assert of() is DIGITS


def test_some_samples_are_kept_by_class_and_the_same_for_every_seed() -> None:
    rows = seen(of(n_train=105))
    assert [row[0] for row in rows] == list(range(105)) and sorted({row[1] for row in rows}) == [row[1] for row in rows]
    assert sorted(Counter(row[2] for row in rows).values()) == [10] * 5 + [11] * 5
    assert all(label == sample % C for _, sample, label in rows)
    assert rows == seen(of(seed=3, n_train=105))


def test_a_share_of_an_uneven_set_is_as_uneven() -> None:
    uneven = Arrays(DIGITS.x, torch.cat([torch.zeros(900), torch.ones(100)]).long())
    assert Counter(row[2] for row in seen(of(source=uneven, n_train=50))) == {0: 45, 1: 5}


@pytest.mark.parametrize("ratio", [2.0, 10.0, 50.0])
def test_classes_of_a_long_tail_shrink_exponentially(ratio: float) -> None:
    counts = Counter(row[2] for row in seen(of(long_tail=ratio)))
    assert [counts[c] for c in range(C)] == [round(100 * ratio ** (-c / 9)) for c in range(C)]
    assert counts[0] / counts[9] == pytest.approx(ratio, rel=0.05)


def test_who_is_in_the_tail_depends_on_the_seed() -> None:
    kept = [{row[1] for row in seen(of(seed=seed, long_tail=50.0))} for seed in (0, 0, 1)]
    assert kept[0] == kept[1] != kept[2]


@pytest.mark.parametrize("noise", [0.001, 0.1, 0.5])
def test_exactly_a_share_of_the_labels_is_wrong(noise: float) -> None:
    rows = seen(of(noise=noise))
    assert [row[1] for row in rows] == list(range(N))
    assert sum(label != sample % C for _, sample, label in rows) == int(noise * N)


def test_every_other_class_is_as_likely() -> None:
    large = Arrays(torch.zeros(90_000, 1, 1, 1), torch.full((90_000,), 3))
    noisy = of(source=large, noise=1.0).labels
    assert noisy is not None
    counts = torch.bincount(noisy, minlength=C)
    assert counts[3] == 0 and all(abs(int(count) - 10_000) < 500 for c, count in enumerate(counts) if c != 3)


def test_noise_depends_on_the_seed_and_on_nothing_else() -> None:
    alone, again, other = (of(seed=seed, noise=0.2).labels for seed in (0, 0, 1))
    assert alone is not None and again is not None and other is not None
    assert torch.equal(alone, again) and not torch.equal(alone, other)
    fewer = of(noise=0.2, n_train=500)
    assert sum(label != sample % C for _, sample, label in seen(fewer)) == 100
    assert fewer.labels is not None and [row[2] for row in seen(fewer)] == fewer.labels.tolist()


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(WorkloadError, match="1001 of 1000"):
        of(n_train=1001)


def test_samples_without_a_class_of_their_own_are_refused() -> None:
    with pytest.raises(WorkloadError, match="need the class of each sample"):
        of(source=Arrays(DIGITS.x, torch.zeros(N, 2, 2, dtype=torch.int64)), noise=0.1)
