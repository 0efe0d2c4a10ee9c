"""InfoBatch against a slow restatement: the mean, who is below it, and which of these the stream draws."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from kbench.engine import seeds
from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, Strategy

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


@cache
def dropping(ratio: float) -> Strategy:
    return load("infobatch", {"ratio": ratio})


def below_the_mean(stats: SampleStats) -> list[int]:
    """Ids whose last loss is below the mean of all that are known; unknown ones are never among them."""
    seen = zip(stats.loss.tolist(), stats.age.tolist(), strict=True)
    loss = {i: value for i, (value, age) in enumerate(seen) if age >= 0}
    mean = math.fsum(loss.values()) / len(loss) if loss else 0.0
    return [i for i in loss if loss[i] < mean]


def kept_slowly(stats: SampleStats, ratio: float, seed: int) -> list[int]:
    """Give each sample below the mean a number of the epoch's stream; the ``int((1 - ratio) k)`` lowest stay."""
    low = below_the_mean(stats)
    numbers = torch.rand(len(low), generator=seeds.generator(seed, "plan", "train", 1), dtype=torch.float64).tolist()
    staying = sorted(range(len(low)), key=lambda place: (numbers[place], place))[: int((1 - ratio) * len(low))]
    return sorted(set(range(len(stats.loss))) - set(low) | {low[place] for place in staying})


def some_unknown(stats: SampleStats, k: int) -> SampleStats:
    """A tenth of the samples was never measured, in every second case."""
    if k % 2:
        stats.age[torch.tensor(np.random.default_rng(k).random(len(stats.age)) < 0.1)] = -1
    return stats


def spread(n: int) -> SampleStats:
    """n samples of growing loss, so that the first half is below the mean."""
    return SampleStats(
        torch.arange(n, dtype=torch.float32),
        torch.ones(n, dtype=torch.bool),
        torch.ones(n),
        torch.zeros(n),
        torch.zeros(n, dtype=torch.int16),
    )


def test_keeps_and_weighs_what_the_rule_says(epoch_at: At, stats_case: Case) -> None:
    for k in range(2000):
        stats, ratio = some_unknown(stats_case(k), k), [0.5, 0.3, 0.9, 0.0, 0.75][k % 5]
        plan = dropping(ratio).plan(epoch_at(len(stats.loss), 1, seed=k), stats)
        assert plan.indices.tolist() == kept_slowly(stats, ratio, k), k
        low, heavy = set(below_the_mean(stats)), float(np.float32(1 / (1 - ratio)))
        if len(plan.indices) == len(stats.loss):
            assert plan.weights is None, k  # nobody stands for others
            continue
        assert plan.weights is not None and plan.weights.dtype == torch.float32
        weights = plan.weights.tolist()
        assert all(weights[i] == (heavy if i in low else 1) for i in plan.indices.tolist()), k


def test_exactly_half_of_the_low_ones_go_by_default_and_the_rest_count_twice(epoch_at: At) -> None:
    plan = load("infobatch").plan(epoch_at(1000, 1), spread(1000))
    assert plan.weights is not None
    assert len(plan.indices) == 750 and plan.indices[-500:].tolist() == list(range(500, 1000))
    assert plan.weights[plan.indices].tolist() == [2.0] * 250 + [1.0] * 500


def test_the_weights_stand_for_those_who_were_dropped(epoch_at: At, stats_case: Case) -> None:
    for k in range(500):
        stats = stats_case(k)
        plan = dropping(0.5).plan(epoch_at(len(stats.loss), 1), stats)
        n_odd = len(below_the_mean(stats)) % 2
        assert (
            plan.weights is None or float(plan.weights[plan.indices].sum()) == len(stats.loss) - n_odd
        ), k  # rounded down


def test_every_low_sample_is_dropped_as_often_as_any_other(epoch_at: At) -> None:
    n, epochs, ratio = 40, 4000, 0.3
    kept = torch.zeros(n)
    strategy, stats = dropping(ratio), spread(n)
    for seed in range(epochs):
        kept[strategy.plan(epoch_at(n, 1, seed=seed), stats).indices] += 1
    share, deviation = 1 - ratio, math.sqrt(ratio * (1 - ratio) / epochs)
    assert (kept[n // 2 :] == epochs).all()
    assert ((kept[: n // 2] / epochs - share).abs() < 5 * deviation).all()


def test_nobody_is_dropped_before_anything_was_measured(epoch_at: At, unmeasured: Case) -> None:
    plan = load("infobatch").plan(epoch_at(50, 0), unmeasured(50))
    assert plan.indices.tolist() == list(range(50))
    assert plan.weights is None


@pytest.mark.parametrize("loss", [0.1, 1 / 3, 2.302585, 1e-30, 7e30])
@pytest.mark.parametrize("n", [1, 3, 7, 1000, 99_991])
def test_equal_losses_are_not_below_their_mean(n: int, loss: float, epoch_at: At) -> None:
    stats = spread(n)
    stats.loss[:] = loss
    assert len(load("infobatch").plan(epoch_at(n, 1), stats).indices) == n


def test_an_unknown_sample_is_kept_and_has_no_part_in_the_mean(epoch_at: At) -> None:
    stats = spread(4)
    stats.loss[:] = torch.tensor([0.0, 1.0, 2.0, 100.0])
    stats.age[3] = -1
    plan = dropping(0.5).plan(epoch_at(4, 1), stats)
    assert plan.indices.tolist() == [1, 2, 3]  # the mean is 1; of one sample below it int(0.5) stay


@pytest.mark.parametrize(
    ("epochs", "delta", "n_pruning"), [(200, 0.875, 175), (20, 0.875, 17), (8, 0.5, 4), (9, 0.0, 0)]
)
def test_the_last_epochs_train_on_everything_unweighted(
    epochs: int, delta: float, n_pruning: int, epoch_at: At
) -> None:
    strategy = load("infobatch", {"delta": delta})
    plans = [strategy.plan(epoch_at(10, index, epochs=epochs), spread(10)) for index in range(epochs)]
    assert [len(plan.indices) < 10 for plan in plans] == [index < n_pruning for index in range(epochs)]
    assert all(plan.weights is None for plan in plans[n_pruning:])


def test_with_delta_1_every_epoch_prunes(epoch_at: At) -> None:
    assert len(load("infobatch", {"delta": 1.0}).plan(epoch_at(10, 9, epochs=10), spread(10)).indices) < 10


def test_neither_refreshes_nor_scales_nor_hides_up_to_a_ceiling(epoch_at: At) -> None:
    plan = load("infobatch").plan(epoch_at(100, 1), spread(100))
    assert plan.refresh is None and plan.lr_scale == 1.0 and plan.ceiling is None and plan.candidate_batches == 1


def test_beyond_2_to_the_24_samples_are_still_told_apart(epoch_at: At) -> None:
    border, n = 2**24, 2**24 + 10_000
    stats = spread(n)
    stats.loss[:] = 1.0
    stats.loss[border - 10_000 :] = 0.5  # 20,000 below the mean, half of them on either side
    kept = dropping(0.5).plan(epoch_at(n, 1), stats).indices
    assert len(kept) == n - 10_000 and (kept[1:] > kept[:-1]).all() and int(kept[-1]) < n
    assert abs(int((kept >= border).sum()) - 5000) < 5 * math.sqrt(20_000 / 16)  # hypergeometric


@pytest.mark.parametrize("params", [{"ratio": 1.0}, {"ratio": -0.1}, {"delta": 1.1}, {"ratio": "0.5"}])
def test_a_parameter_out_of_its_range_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        load("infobatch", params)
