"""FORGET against a slow restatement: the history of every sample, read from left to right."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kbench.strategies import load
from kbench.strategies.api import Epoch, Phase, SampleStats

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


def survivors_slowly(history: list[list[bool]], fraction: float, *, keep_unlearnt: bool) -> list[int]:
    """``history[e][i]``: was sample i right in epoch e?  Prune the least forgotten, ties by id."""
    scores: list[float] = []
    for seen in zip(*history, strict=True):
        events = sum(before and not after for before, after in zip(seen[:-1], seen[1:], strict=True))
        scores.append(float("inf") if keep_unlearnt and not any(seen) else events)
    ranked = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    return sorted(ranked[int(fraction * len(scores)) :])


def stats_of(right: list[bool]) -> SampleStats:
    n = len(right)
    return SampleStats(
        torch.rand(n), torch.tensor(right), torch.rand(n), torch.rand(n), torch.zeros(n, dtype=torch.int16)
    )


def kept_after(history: list[list[bool]], epoch_at: At, unmeasured: Unmeasured, **params: object) -> list[int]:
    """What FORGET trains on after it was shown ``history``, one epoch after the other."""
    n, epochs = len(history[0]), len(history)
    strategy = load("forget", {"score_epochs": epochs, **params})
    for index, stats in enumerate([unmeasured(n), *map(stats_of, history[:-1])]):
        plan = strategy.plan(epoch_at(n, index, epochs=epochs, phase="score"), stats)
        assert plan.indices.tolist() == list(range(n))
    return strategy.plan(epoch_at(n, 0, phase="train"), stats_of(history[-1])).indices.tolist()


def random_history(k: int) -> list[list[bool]]:
    rng = np.random.default_rng(k)
    n, epochs = int(rng.choice([1, 2, 3, 10, 60])), int(rng.integers(1, 9))
    chance = {3: 0.0, 4: 1.0}.get(k % 5, rng.random(n))  # all wrong, all right, or each its own
    return (rng.random((epochs, n)) < chance).tolist()


@pytest.mark.parametrize("keep_unlearnt", [True, False])
def test_prunes_the_least_forgotten(keep_unlearnt: bool, epoch_at: At, unmeasured: Unmeasured) -> None:
    for k in range(200):
        history, fraction = random_history(k), float(np.random.default_rng(k + 500).choice([0.0, 0.1, 0.3, 0.5, 0.9]))
        kept = kept_after(history, epoch_at, unmeasured, fraction=fraction, keep_unlearnt=keep_unlearnt)
        assert kept == survivors_slowly(history, fraction, keep_unlearnt=keep_unlearnt), k


def test_an_event_is_right_then_wrong(epoch_at: At, unmeasured: Unmeasured) -> None:
    seen = {"never forgotten": [1, 1, 1, 1], "learnt late": [0, 0, 0, 1], "once": [1, 1, 0, 0], "twice": [1, 0, 1, 0]}
    history = [[bool(x) for x in epoch] for epoch in zip(*seen.values(), strict=True)]
    for n_pruned, kept in ((1, [1, 2, 3]), (2, [2, 3]), (3, [3])):
        assert kept_after(history, epoch_at, unmeasured, fraction=n_pruned / 4) == kept


def test_a_sample_never_learnt_is_kept(epoch_at: At, unmeasured: Unmeasured) -> None:
    history = [[False, True, True], [False, True, False], [False, True, True]]
    assert kept_after(history, epoch_at, unmeasured, fraction=0.67) == [0]


def test_a_sample_never_learnt_is_pruned_first_when_it_counts_as_never_forgotten(
    epoch_at: At, unmeasured: Unmeasured
) -> None:
    history = [[False, True, True], [False, True, False], [False, True, True]]
    assert kept_after(history, epoch_at, unmeasured, fraction=0.34, keep_unlearnt=False) == [1, 2]


def test_a_sample_learnt_only_in_the_last_scoring_epoch_is_learnt(epoch_at: At, unmeasured: Unmeasured) -> None:
    history = [[False, False], [False, False], [False, True]]
    assert kept_after(history, epoch_at, unmeasured, fraction=0.5) == [0]


def test_ties_go_to_the_lower_id(epoch_at: At, unmeasured: Unmeasured) -> None:
    kept = kept_after([[True] * 1000] * 3, epoch_at, unmeasured, fraction=0.4)
    assert kept == list(range(400, 1000))


def test_decides_once(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = load("forget", {"score_epochs": 2, "fraction": 0.5})
    strategy.plan(epoch_at(4, 0, epochs=2, phase="score"), unmeasured(4))
    strategy.plan(epoch_at(4, 1, epochs=2, phase="score"), stats_of([True, True, True, True]))
    first = strategy.plan(epoch_at(4, 0), stats_of([False, True, False, True])).indices.tolist()
    later = [strategy.plan(epoch_at(4, i), stats_of([i % 2 == 0] * 4)).indices.tolist() for i in range(1, 6)]
    assert first == [0, 2] and later == [first] * 5


def test_scores_along_the_beginning_of_the_full_schedule_then_trains_all_of_it() -> None:
    phases = load("forget", {"score_epochs": 20}).phases(200)
    assert phases == (
        Phase(name="score", epochs=20, horizon=200),
        Phase(name="train", epochs=200, horizon=200),
    )


def test_a_scoring_longer_than_the_training_has_a_schedule_of_its_own_length() -> None:
    score, train = load("forget", {"score_epochs": 20}).phases(5)
    assert (score.epochs, score.horizon) == (20, 20) and (train.epochs, train.horizon) == (5, 5)


def test_neither_weighs_nor_refreshes_nor_scales(epoch_at: At, unmeasured: Unmeasured) -> None:
    plan = load("forget").plan(epoch_at(9, 0, phase="score"), unmeasured(9))
    assert plan.weights is None and plan.refresh is None and plan.lr_scale == 1.0
