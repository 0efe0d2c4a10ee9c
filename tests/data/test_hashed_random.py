"""Random numbers that belong to a sample, not to its place in a batch."""

import numpy as np
import torch
from scipy.stats import chisquare, kstest

from kbench.data.views.hashed_random import uniform
from kbench.engine.seeds import stream

IDS = torch.arange(20_000)


def splitmix_slowly(key: int, i: int, column: int) -> float:
    """SplitMix64 in whole numbers: the state of a sample, and from it one number for each column."""
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    state = mix((i * golden + key) & mask)
    return (mix((state + (column + 1) * golden) & mask) >> 40) / 2**24


def test_numbers_are_splitmix64_at_a_counter() -> None:
    for key in (0, 1, stream("some", "key"), 2**63 - 1):
        got = uniform(key, torch.tensor([0, 1, 7, 1_281_166, 2**40]), 3)
        assert got.tolist() == [[splitmix_slowly(key, i, c) for c in range(3)] for i in (0, 1, 7, 1_281_166, 2**40)]


def test_numbers_are_uniform_over_the_samples() -> None:
    for column in uniform(stream("uniform"), IDS, 3).T:
        assert kstest(column.numpy(), "uniform").pvalue > 1e-3


def test_numbers_are_uniform_over_the_epochs_of_one_sample() -> None:
    numbers = [float(uniform(stream(0, "augment", "train", epoch), torch.tensor([17]), 1)) for epoch in range(3000)]
    assert kstest(numbers, "uniform").pvalue > 1e-3


def test_numbers_lie_in_the_half_open_unit_interval() -> None:
    numbers = uniform(3, torch.arange(500_000), 2)
    assert numbers.dtype == torch.float32 and float(numbers.min()) >= 0 and float(numbers.max()) < 1


def test_neighbouring_samples_and_columns_are_uncorrelated() -> None:
    a, b = uniform(stream("pairs"), IDS, 2).numpy().T
    bound = 4 / len(a) ** 0.5
    for x, y in ((a, b), (a[:-1], a[1:]), (a[:-1], b[1:])):
        assert abs(np.corrcoef(x, y)[0, 1]) < bound


def test_pairs_of_columns_fill_the_square_evenly() -> None:
    a, b = (uniform(stream("square"), IDS, 2).numpy() * 8).astype(int).T
    assert chisquare(np.bincount(8 * a + b, minlength=64)).pvalue > 1e-3


def test_a_sample_gets_the_same_numbers_in_any_order_and_company() -> None:
    everyone = uniform(5, IDS, 4)
    shuffled = IDS[torch.randperm(len(IDS), generator=torch.Generator().manual_seed(0))]
    assert torch.equal(uniform(5, shuffled, 4), everyone[shuffled])
    assert torch.equal(uniform(5, IDS[41:42], 4), everyone[41:42])


def test_asking_for_fewer_numbers_gives_the_first_of_them() -> None:
    assert torch.equal(uniform(5, IDS, 2), uniform(5, IDS, 4)[:, :2])


def test_another_key_gives_other_and_uncorrelated_numbers() -> None:
    keys = [stream(0, "augment", "train", epoch) for epoch in range(4)] + [0, 1]
    drawn = [uniform(key, IDS, 1).squeeze(1).numpy() for key in keys]
    for i, a in enumerate(drawn):
        for b in drawn[:i]:
            assert (a == b).mean() < 1e-3 and abs(np.corrcoef(a, b)[0, 1]) < 4.5 / len(a) ** 0.5


def test_no_samples_get_no_numbers() -> None:
    assert uniform(5, torch.arange(0), 3).shape == (0, 3)


def test_the_global_random_stream_is_left_alone() -> None:
    before = torch.get_rng_state()
    uniform(5, IDS, 2)
    assert torch.equal(torch.get_rng_state(), before)
