"""Random streams by name."""

import itertools

import torch

from kbench.engine.seeds import generator, stream


def test_a_name_means_the_same_stream_on_every_machine() -> None:
    # Written down, so that results of different versions and machines stay comparable.
    assert stream(0, "weights") == 5087778715007104936
    assert stream(3, "order", "train", 7) == 6831866418204836184


def test_different_names_mean_different_streams() -> None:
    names = itertools.product(range(5), ("order", "plan", "augment", "dropout"), ("score", "train"), range(50))
    seeds = [stream(*name) for name in names]
    assert len(set(seeds)) == len(seeds)


def test_parts_do_not_run_into_one_another() -> None:
    assert len({stream(1, 23), stream(12, 3), stream(123), stream("1", 23), stream(1, "23"), stream(1, 2, 3)}) == 6


def test_seeds_fit_into_63_bits() -> None:
    assert all(0 <= stream(i) < 2**63 for i in range(1000))


def test_a_generator_starts_at_the_beginning_of_its_stream() -> None:
    first, again, other = (
        torch.rand(5, generator=generator(*name)).tolist() for name in ((1, "a"), (1, "a"), (1, "b"))
    )
    assert first == again != other
