"""Budget: the baseline in fewer epochs."""

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from kbench.strategies import load
from kbench.strategies.api import Epoch, EpochCost, SampleStats


@pytest.mark.parametrize(
    ("share", "epochs", "expected"),
    [(0.75, 40, 30), (0.75, 3, 2), (0.5, 9, 4), (0.01, 10, 1), (1.0, 7, 7), (0.9, 1, 1)],
)
def test_trains_the_rounded_share_of_the_epochs(share: float, epochs: int, expected: int) -> None:
    (phase,) = load("budget", {"share": share}).phases(epochs)
    assert phase.epochs == expected


@pytest.mark.parametrize("epochs", [1, 2, 10, 200])
def test_the_schedule_is_laid_over_the_shorter_training(epochs: int) -> None:
    (phase,) = load("budget").phases(epochs)
    assert phase.horizon == phase.epochs


def test_its_phase_is_the_baselines() -> None:
    (phase,), (theirs,) = load("budget", {"share": 1.0}).phases(12), load("baseline").phases(12)
    assert phase == theirs


def test_plans_everyone(epoch_at: Callable[..., Epoch], unmeasured: Callable[[int], SampleStats]) -> None:
    plan = load("budget").plan(epoch_at(7), unmeasured(7))
    assert plan.indices.tolist() == list(range(7)) and plan.refresh is None and plan.lr_scale == 1.0


# like another run


def spent(n_trained: int, n_scored: int = 0, n_refreshed: int = 0, **more: Any) -> EpochCost:
    """An epoch of a run on 1442 samples in batches of 48."""
    facts = {"phase": "train", "epoch": 0, "n_samples": 1442, "n_full": 1440, "global_batch": 48, "n_dropped": 2}
    own = {"n_trained": n_trained, "n_scored": n_scored, "n_refreshed": n_refreshed}
    return EpochCost(**{**facts, "forward_s": 1.0, "step_s": 4.0, **own, **more})  # type: ignore[arg-type]


def epochs_of(past: list[EpochCost], **params: Any) -> int:
    strategy = load("budget", {"like": "k", "share": 0.1, **params})
    strategy.follow(past)
    (phase,) = strategy.phases(1000)
    assert phase.name == "train" and phase.horizon == phase.epochs
    return phase.epochs


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([spent(1440)] * 10, 10),
        ([spent(720)] * 10, 5),
        ([spent(960)] * 10, 7),  # 6.67
        ([spent(0, 1440)] * 9, 3),
        ([spent(0, 0, 1440)] * 9, 3),
        ([spent(720, 1440)] * 12, 10),  # half the training and a forward pass of all
        ([spent(480, phase="score")] * 3 + [spent(480)] * 3, 2),  # all phases pay
        ([spent(48)], 1),
    ],
)
def test_trains_as_many_epochs_as_pay_for_the_run_that_it_is_like(past: list[EpochCost], expected: int) -> None:
    assert epochs_of(past) == expected


def test_a_forward_pass_costs_a_third_and_the_nearest_epoch_is_taken() -> None:
    rng = Random(0)
    strategy = load("budget", {"like": "k"})
    for _ in range(2000):
        past = [spent(48 * rng.randrange(31), rng.randrange(1441), rng.randrange(1443)) for _ in range(8)]
        paid = sum(one.n_trained + Fraction(one.n_scored + one.n_refreshed, 3) for one in past) / 1440
        strategy.follow(past)
        found = strategy.phases(1000)[0].epochs
        assert found >= 1 and (abs(found - paid) <= Fraction(1, 2) or found == 1 > paid)


def test_a_forward_pass_may_cost_what_it_was_measured_to_cost() -> None:
    past = [spent(720, 1440, forward_s=1.0, step_s=2.0), spent(720, 1440, forward_s=1.0, step_s=6.0)]
    assert epochs_of(past * 10, forward="measured") == 15  # a quarter of all steps: 20 * (1/2 + 1/4)
    assert epochs_of(past * 10, forward="third") == 17  # 20 * (1/2 + 1/3) = 16.7


def test_measured_forward_passes_change_nothing_where_there_were_none_beside_training() -> None:
    assert epochs_of([spent(720)] * 10, forward="measured") == epochs_of([spent(720)] * 10) == 5
