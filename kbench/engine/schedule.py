"""The learning rate as a pure function of the position in the schedule."""

import math
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache

from kbench.config import own_code
from kbench.config.recipe import Recipe
from kbench.errors import WorkloadError


def learning_rate(recipe: Recipe, position: float) -> float:
    """The learning rate at ``position`` in [0, 1], the fraction of the schedule that has passed.

    A function of epochs passed, never of steps taken: an epoch with fewer steps does not stretch
    the schedule, and a shorter training sees all of it.  A schedule of one's own is called with that fraction, and
    returns a factor of the recipe's learning rate; the warm-up comes before it.

    Raises:
        WorkloadError: One of one's own returned no finite factor of at least 0.
    """
    epoch = position * recipe.epochs
    if epoch < recipe.warmup_epochs:
        share = recipe.warmup_from + (1 - recipe.warmup_from) * epoch / recipe.warmup_epochs
        return recipe.lr * share
    if recipe.schedule == "step":
        return recipe.lr * recipe.gamma ** bisect_right(recipe.milestones, epoch)
    if recipe.schedule == "cosine":
        begin = recipe.warmup_epochs if recipe.cosine_over == "rest" else 0.0
        passed = (epoch - begin) / (recipe.epochs - begin)
        return recipe.min_lr + (recipe.lr - recipe.min_lr) * (1 + math.cos(math.pi * passed)) / 2
    if own_code.is_reference(recipe.schedule):
        return recipe.lr * _own_factor(recipe.schedule, position)
    return recipe.lr


def _own_factor(target: str, position: float) -> float:
    factor = _own_schedule(target)(position)
    if not isinstance(factor, int | float) or not (math.isfinite(factor) and factor >= 0):
        raise WorkloadError(
            f"schedule {target}: must return a factor of the learning rate, 0 or more, got {factor!r} at {position:g}",
            hint="it is called with the fraction of the training that has passed, in [0, 1]",
        )
    return float(factor)


@lru_cache(maxsize=8)
def _own_schedule(target: str) -> Callable[[float], float]:
    own: Callable[[float], float] = own_code.instance(target, "schedule")
    return own


def warming_up(recipe: Recipe, epoch: int, horizon: int) -> bool:
    """Whether the learning rate still ramps up as ``epoch`` begins, the schedule laid over ``horizon`` epochs."""
    # Multiplied before it is divided: 3 / 47 * 47 is less than 3.
    return epoch * recipe.epochs / horizon < recipe.warmup_epochs
