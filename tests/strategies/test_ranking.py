"""Ranking and drawing: against a stable sort and a walk along the cumulative sum."""

from bisect import bisect_right
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.strategies.ranking import draw, lowest, percentile

BEYOND = 2**24 + 1000  # torch.multinomial ends at 2^24, and so do whole numbers in float32


def first_of_a_stable_sort(values: list[float], count: int) -> set[int]:
    return set(sorted(range(len(values)), key=lambda i: (values[i], i))[: max(0, count)])


def marked(mask: Tensor) -> set[int]:
    return set(mask.nonzero().squeeze(1).tolist())


def some_values(rng: np.random.Generator, kind: int) -> Tensor:
    n = int(rng.integers(1, 60))
    return [
        torch.tensor(rng.exponential(size=n), dtype=torch.float32),
        torch.tensor(rng.integers(0, 3, n) / 3, dtype=torch.float32),  # ties, by the dozen
        torch.tensor(rng.integers(0, 4, n), dtype=torch.int16),  # counts of forgetting
        torch.tensor(rng.integers(-3, 3, n), dtype=torch.int64),
        torch.tensor(rng.random(n), dtype=torch.float64),
        torch.tensor(rng.choice([-np.inf, -0.0, 0.0, 1.0, np.inf], n), dtype=torch.float32),
        torch.zeros(n),
    ][kind]


@pytest.mark.parametrize("kind", range(7), ids="reals ties counts ints doubles infinite zeros".split())
def test_the_lowest_are_the_first_of_a_stable_sort(kind: int) -> None:
    for seed in range(600):
        rng = np.random.default_rng(seed)
        values = some_values(rng, kind)
        for count in {0, 1, int(rng.integers(0, len(values) + 1)), len(values), len(values) + 3}:
            found = lowest(values, count)
            assert found.dtype == torch.bool and found.shape == values.shape
            assert marked(found) == first_of_a_stable_sort(values.tolist(), count), (seed, count)


def test_nobody_is_the_lowest_of_nobody() -> None:
    assert lowest(torch.zeros(0), 0).tolist() == [] and lowest(torch.ones(3), -1).tolist() == [False] * 3


def test_the_lowest_of_nobody_are_nobody_however_many_are_asked_for() -> None:
    assert lowest(torch.zeros(0), 5).tolist() == []


def test_ranking_leaves_the_values_as_they_were() -> None:
    values = torch.tensor([3.0, 1.0, 2.0])
    lowest(values, 2)
    assert values.tolist() == [3.0, 1.0, 2.0]


def test_ties_go_to_the_lower_id_beyond_two_to_the_24() -> None:
    values = torch.zeros(BEYOND)
    values[:5] = 1.0
    found = lowest(values, BEYOND - 7)
    assert int(found.sum()) == BEYOND - 7
    assert not found[:5].any() and not found[-2:].any() and found[5:-2].all()


# draws


def walked(p: list[float], at: float) -> int:
    """Where a needle lands on strips laid side by side, in exact numbers."""
    edges = list(accumulate(Fraction(x) for x in p))
    return bisect_right(edges, Fraction(at) * edges[-1])


def test_a_draw_is_where_a_needle_lands_on_strips_laid_side_by_side() -> None:
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 30))
        weights = rng.integers(0, 5, n) if seed % 2 else rng.integers(0, 2**20, n)  # their sums are exact
        if not weights.any():
            continue
        at = rng.integers(0, 2**10, 20) / 2**10
        drawn = draw(torch.tensor(weights, dtype=torch.float64), torch.tensor(at))
        assert drawn.tolist() == [walked(weights.tolist(), x) for x in at], seed


def test_who_has_no_chance_is_never_drawn() -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        p = torch.tensor(rng.random(40) * (rng.random(40) < 0.3))
        p[:2] = p[-2:] = 0.0
        if p.sum() > 0:
            at = torch.tensor([0.0, 1 - 2**-53, *rng.random(200)])
            assert (p[draw(p, at)] > 0).all(), seed


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e9])
def test_only_ratios_matter_to_a_draw(scale: float) -> None:
    p, at = torch.tensor([0.0, 1.0, 2.0, 0.0, 5.0, 0.0]), torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    assert torch.equal(draw(p.double() * scale, at), draw(p.double(), at))


def test_draws_follow_their_chances() -> None:
    p = torch.tensor([0.1, 0.0, 0.2, 0.3, 0.4], dtype=torch.float64)
    at = torch.rand(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counts = np.bincount(draw(p, at), minlength=5)
    for chance, count in zip(p.tolist(), counts, strict=True):
        assert abs(count - 1e5 * chance) <= 4 * (1e5 * chance * (1 - chance)) ** 0.5


def test_draws_reach_beyond_two_to_the_24_and_miss_who_has_no_chance() -> None:
    p = torch.ones(BEYOND, dtype=torch.float64)
    p[::2] = 0.0
    at = torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    at[:500] = 1 - at[:500] * 1000 / BEYOND  # into the part beyond
    drawn = draw(p, at)
    assert (drawn % 2 == 1).all() and int(drawn.max()) < BEYOND
    assert int((drawn >= 2**24).sum()) >= 500
    assert abs(drawn[500:].double().mean() / BEYOND - 0.5) < 4 / (12 * 19_500) ** 0.5


# percentiles


def test_a_percentile_is_the_share_strictly_below() -> None:
    for seed in range(500):
        rng = np.random.default_rng(seed)
        among = torch.tensor(rng.integers(0, 6, int(rng.integers(1, 50))), dtype=torch.float32)
        loss = torch.tensor(rng.integers(-1, 7, 10), dtype=torch.float32)
        expected = [sum(x < one for x in among.tolist()) / len(among) for one in loss.tolist()]
        assert percentile(loss, among).tolist() == pytest.approx(expected), seed
