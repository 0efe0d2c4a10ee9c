"""OrderDP against a slow restatement: a random part, then the highest losses of it."""

from collections.abc import Callable

import pytest
import torch

from kbench.engine import seeds
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, TrainingSetup

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


def kept_slowly(stats: SampleStats, pool: float, top: float, seed: int) -> list[int]:
    """Give each sample a number of the epoch's stream; of the lowest numbers, those of the highest loss stay."""
    n = len(stats.loss)
    numbers = torch.rand(n, generator=seeds.generator(seed, "plan", "train", 1), dtype=torch.float64).tolist()
    drawn = sorted(range(n), key=lambda i: (numbers[i], i))[: int(pool * n)]
    losses = stats.loss.tolist()
    return sorted(sorted(drawn, key=lambda i: (-losses[i], i))[: int(top * len(drawn))])


def test_keeps_what_the_rule_says(epoch_at: At, stats_case: Case) -> None:
    for k in range(2000):
        stats = stats_case(k)
        pool, top = [(0.75, 0.85), (0.5, 0.5), (0.8, 0.9), (1.0, 1.0), (1.0, 0.3), (0.3, 1.0)][k % 6]
        plan = load("orderdp", {"pool": pool, "top": top}).plan(epoch_at(len(stats.loss), 1, seed=k), stats)
        assert plan.indices.tolist() == kept_slowly(stats, pool, top, k), k
        assert plan.weights is None and plan.refresh is None and plan.lr_scale == 1


def test_the_defaults_train_on_63_of_100(epoch_at: At, unmeasured: Case) -> None:
    sizes = {len(load("orderdp").plan(epoch_at(100, index), unmeasured(100)).indices) for index in range(10)}
    assert sizes == {int(0.85 * 75)}  # in the last epoch too


@pytest.mark.parametrize(("pool", "top", "n_problems"), [(0.75, 0.85, 0), (0.1, 0.5, 1)])
def test_too_few_for_a_batch_is_refused_before_the_start(pool: float, top: float, n_problems: int) -> None:
    setup = TrainingSetup(n_train=100, n_classes=10, task="classification", epochs=20, global_batch=20)
    assert len(list(load("orderdp", {"pool": pool, "top": top}).problems(setup))) == n_problems
