"""A schedule around a strategy: whose epochs are whose, and that the other does in its own what it does alone."""

from collections.abc import Callable
from typing import Any

import pytest

from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, TrainingSetup, load_state_dict, state_dict

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


def owner_slowly(index: int, epochs: int, warmup: int, until: float, every: int) -> bool:
    """Whether an epoch is the other strategy's, counted from the first that can be."""
    turn = 0
    for at in range(epochs):
        inside = warmup <= at < int(until * epochs)
        mine = inside and turn % every == 0
        turn += inside
        if at == index:
            return mine
    raise IndexError(index)


@pytest.mark.parametrize(
    ("warmup", "until", "every"), [(5, 1.0, 1), (0, 1.0, 1), (3, 0.5, 1), (2, 0.9, 2), (0, 1.0, 3), (4, 0.2, 1)]
)
def test_epochs_are_everything_or_the_others(
    warmup: int, until: float, every: int, epoch_at: At, stats_case: Case
) -> None:
    params = {"then": {"random": {"fraction": 0.5}}, "epochs": warmup, "until": until, "every": every}
    strategy, alone = load("warmup", params), load("random", {"fraction": 0.5})
    for index in range(20):
        epoch, again = (epoch_at(100, index, epochs=20) for _ in range(2))
        plan = strategy.plan(epoch, stats_case(5))
        if owner_slowly(index, 20, warmup, until, every):
            assert plan.indices.tolist() == alone.plan(again, stats_case(5)).indices.tolist(), index
        else:
            assert plan.indices.tolist() == list(range(100)), index


def test_the_others_state_goes_through_a_checkpoint(epoch_at: At, stats_case: Case) -> None:
    def fresh() -> Any:
        return load("warmup", {"then": {"rs2": {"fraction": 0.5}}, "epochs": 1})

    first, second = fresh(), fresh()
    for index in range(3):
        first.plan(epoch_at(100, index), stats_case(5))
    past = state_dict(first)
    assert {"own", "inner.order", "inner.n_used"} == past.keys()
    load_state_dict(second, past)
    plans = [one.plan(epoch_at(100, 3), stats_case(5)).indices.tolist() for one in (first, second)]
    assert plans[0] == plans[1]


def test_phases_before_the_last_are_the_others(epoch_at: At, stats_case: Case) -> None:
    strategy = load("warmup", {"then": {"prune-el2n": {"score_epochs": 2}}, "epochs": 3})
    assert [phase.name for phase in strategy.phases(10)] == ["score", "train"]
    last = strategy.plan(epoch_at(100, 1, epochs=2, phase="score"), stats_case(5))
    assert last.refresh is not None  # it scores, in spite of the warm-up


@pytest.mark.parametrize(
    ("then", "text"),
    [
        ("nobody", "unknown strategy 'nobody'"),
        ({"random": {"fraction": 2.0}}, "random: fraction"),
        ({"random": {}, "sb": {}}, "one strategy"),
        ({"random": {"like": "sb"}}, "leave out like"),
    ],
)
def test_what_cannot_come_after_it_is_refused(then: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load("warmup", {"then": then})


def test_problems_of_the_other_and_of_the_schedule_are_found_before_the_start() -> None:
    setup = TrainingSetup(n_train=100, n_classes=10, task="classification", epochs=5, global_batch=60)
    strategy = load("warmup", {"then": {"random": {"fraction": 0.5}}})
    assert [parameter for parameter, _ in strategy.problems(setup)] == ["then", "epochs"]
