"""Progressive resizing against Composer's formula, at the beginning of each epoch."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats, TrainingSetup

At = Callable[..., Epoch]
Unmeasured = Callable[[int], SampleStats]


def side_slowly(whole: int, passed: float, initial: float, delay: float, finetune: float, increment: int) -> int:
    """Composer's: a linear ramp between delay and finetune, pinned to multiples."""
    ramp = min((passed - delay) / (1 - finetune - delay), 1) if passed >= delay else 0.0
    return round(whole * (initial + (1 - initial) * ramp) / increment) * increment


@pytest.mark.parametrize("whole", [28, 32, 64, 224])
@pytest.mark.parametrize(("initial", "delay", "finetune"), [(0.5, 0.5, 0.2), (0.4, 0.0, 0.3), (0.75, 0.2, 0.2)])
def test_the_side_follows_the_ramp(
    whole: int, initial: float, delay: float, finetune: float, epoch_at: At, unmeasured: Unmeasured
) -> None:
    params = {"initial_scale": initial, "delay": delay, "finetune": finetune, "increment": 4}
    strategy, sides = load("progressive", params), []
    for index in range(40):
        epoch = replace(epoch_at(10, index, epochs=40), image_size=whole)
        plan = strategy.plan(epoch, unmeasured(10))
        side = side_slowly(whole, index / 40, initial, delay, finetune, 4)
        assert plan.image_size == (side if side < whole else None), index
        assert plan.indices.tolist() == list(range(10))
        sides.append(plan.image_size or whole)
    assert sides == sorted(sides) and sides[0] < whole and sides[-1] == whole


def test_without_a_ramp_the_side_jumps(epoch_at: At, unmeasured: Unmeasured) -> None:
    strategy = load("progressive", {"delay": 0.5, "finetune": 0.5})
    sides = [
        strategy.plan(replace(epoch_at(10, i, epochs=10), image_size=32), unmeasured(10)).image_size for i in range(10)
    ]
    assert sides == [16] * 5 + [None] * 5


def test_more_than_the_whole_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="more than the whole training"):
        load("progressive", {"delay": 0.7, "finetune": 0.5})


@pytest.mark.parametrize(
    ("setup", "n_problems"), [({"image_size": 32}, 0), ({"image_size": 4}, 1), ({"image_size": None}, 0)]
)
def test_an_image_that_cannot_shrink_is_refused_before_the_start(setup: dict[str, int | None], n_problems: int) -> None:
    base = TrainingSetup(n_train=100, n_classes=3, task="classification", epochs=2, global_batch=10)
    assert len(list(load("progressive").problems(replace(base, **setup)))) == n_problems  # type: ignore[arg-type]
