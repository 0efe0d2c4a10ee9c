"""The baseline: everything, always, as it comes."""

from collections.abc import Callable
from typing import Any

from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, Phase, SampleStats


def test_plans_everyone_once_whatever_is_known(
    epoch_at: Callable[..., Epoch], stats_case: Callable[[int], SampleStats]
) -> None:
    for k in range(30):
        stats = stats_case(k)
        plan = load("baseline").plan(epoch_at(len(stats.loss), k), stats)
        assert plan.indices.tolist() == list(range(len(stats.loss))), k
        assert plan.weights is None and plan.refresh is None and plan.lr_scale == 1.0


def test_keeps_batches_without_a_look(
    epoch_at: Callable[..., Epoch], probe_of: Any, batch_of: Callable[[int], Batch]
) -> None:
    probe = probe_of(epoch_at(10), [])
    assert load("baseline").select(batch_of(4), probe) is None
    assert probe.asked == 0 and not probe.drawn


def test_trains_the_recipes_epochs_in_one_phase() -> None:
    assert load("baseline").phases(90) == (Phase(name="train", epochs=90, horizon=90),)
