"""FORGET online against a slow restatement: the looks at every sample, read from left to right."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kbench.strategies import load
from kbench.strategies.api import AsCoded, Epoch, SampleStats, state_dict

At = Callable[..., Epoch]


def shown_after(looks: list[list[bool | None]]) -> SampleStats:
    """What is known after these epochs; None: not looked at in that epoch."""
    seen = [[look for look in sample if look is not None] for sample in zip(*looks, strict=True)]
    right = torch.tensor([bool(sample and sample[-1]) for sample in seen])
    n = len(right)
    age = torch.tensor([0 if sample else -1 for sample in seen], dtype=torch.int16)
    return SampleStats(torch.rand(n), right, torch.rand(n), torch.rand(n), age)


def hidden_slowly(looks: list[list[bool | None]], fraction: float, *, keep_unlearnt: bool) -> list[int]:
    """The int(fraction * n) with the fewest events, ties by id; who was never seen stays."""
    scores: list[float] = []
    unseen = []
    for i, sample in enumerate(zip(*looks, strict=True)):
        seen = [look for look in sample if look is not None]
        unseen += [] if seen else [i]
        events = sum(before and not after for before, after in zip(seen[:-1], seen[1:], strict=True))
        never = not any(seen) if keep_unlearnt else not seen
        scores.append(float("inf") if never else events)
    ranked = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    return sorted(set(ranked[: int(fraction * len(scores))]) - set(unseen))


def random_looks(k: int) -> list[list[bool | None]]:
    """Ten epochs of looks; in some cases all right or all wrong, in others some are passed over."""
    rng = np.random.default_rng(k)
    n = int(rng.choice([1, 2, 3, 10, 60]))
    right = rng.random((10, n)) < {3: 0.0, 4: 1.0}.get(k % 5, rng.random(n))
    looked = rng.random((10, n)) < (1.0 if k % 2 else 0.7)
    pairs = zip(right.tolist(), looked.tolist(), strict=True)
    return [[bool(hit) if seen else None for hit, seen in zip(*pair, strict=True)] for pair in pairs]


def plans(looks: list[list[bool | None]], epoch_at: At, **params: object) -> list[list[int]]:
    """Whom each epoch hides, the first one before any look."""
    strategy, hidden, n = load("forget-online", params), [], len(looks[0])
    for index in range(len(looks) + 1):
        plan = strategy.plan(epoch_at(n, index), shown_after(looks[:index] or [[None] * n]))
        assert plan.refresh is not None
        assert sorted(plan.refresh.tolist() + plan.indices.tolist()) == list(range(n))
        hidden.append(plan.refresh.tolist())
    return hidden


@pytest.mark.parametrize("keep_unlearnt", [True, False])
def test_hides_the_least_forgotten_ranked_anew_in_each_epoch(keep_unlearnt: bool, epoch_at: At) -> None:
    for k in range(250):
        looks, rng = random_looks(k), np.random.default_rng(k + 500)
        fraction, start = float(rng.choice([0.0, 0.1, 0.3, 0.5, 0.9])), int(rng.integers(0, 5))
        got = plans(looks, epoch_at, fraction=fraction, start_epoch=start, keep_unlearnt=keep_unlearnt)
        for index, hidden in enumerate(got):
            past = looks[:index] or [[None] * len(looks[0])]
            expected = hidden_slowly(past, fraction, keep_unlearnt=keep_unlearnt) if index >= start else []
            assert hidden == expected, (k, index)


def test_hiding_begins_in_epoch_2(epoch_at: At) -> None:
    assert [len(hidden) for hidden in plans([[True] * 10] * 4, epoch_at, fraction=0.3)] == [0, 0, 3, 3, 3]


def test_who_is_forgotten_while_hidden_comes_back(epoch_at: At) -> None:
    looks: list[list[bool | None]] = [[True] * 4, [True] * 4, [False, True, True, True], [True] * 4]
    assert plans(looks, epoch_at, fraction=0.25) == [[], [], [0], [1], [1]]


def test_a_sample_never_learnt_is_hidden_last_or_with_keep_unlearnt_false_first(epoch_at: At) -> None:
    looks: list[list[bool | None]] = [[False, True, True], [False, False, True], [False, True, True]]
    assert plans(looks, epoch_at, fraction=0.67)[3] == [1, 2]
    assert plans(looks, epoch_at, fraction=0.67, keep_unlearnt=False)[3] == [0, 2]


@pytest.mark.parametrize("keep_unlearnt", [True, False])
def test_nobody_is_hidden_unseen(keep_unlearnt: bool, epoch_at: At) -> None:
    looks: list[list[bool | None]] = [[None, True, None, False]] * 3
    hidden = plans(looks, epoch_at, fraction=0.99, start_epoch=0, keep_unlearnt=keep_unlearnt)
    assert hidden[0] == [] and hidden[3] == ([1] if keep_unlearnt else [1, 3])


def test_ties_go_to_the_lower_id(epoch_at: At) -> None:
    assert plans([[True] * 1000] * 3, epoch_at, fraction=0.4)[3] == list(range(400))


def test_remembers_four_bytes_of_a_sample(epoch_at: At) -> None:
    strategy, n = load("forget-online"), 1000
    for index in range(4):
        strategy.plan(epoch_at(n, index), shown_after([[True] * n]))
    kept = [value for value in state_dict(strategy).values() if value is not None]
    assert sum(value.untyped_storage().nbytes() for value in kept) == 4 * n


def test_neither_weighs_nor_scales_and_asks_for_the_habits_of_the_code(epoch_at: At) -> None:
    plan = load("forget-online").plan(epoch_at(20), shown_after([[True] * 20]))
    assert plan.weights is None and plan.lr_scale == 1.0 and plan.as_coded == AsCoded()
    theirs = load("forget-online", {"refresh_in": "train", "lr_clock": "updates"})
    assert theirs.plan(epoch_at(20), shown_after([[True] * 20])).as_coded == AsCoded(
        refresh_in="train", lr_clock="updates"
    )
