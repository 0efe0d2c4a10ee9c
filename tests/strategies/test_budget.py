"""Budget: the baseline in fewer epochs."""

from collections.abc import Callable

import pytest

from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats


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
