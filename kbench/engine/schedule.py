"""The learning rate as a pure function of the position in the schedule."""

import math
from bisect import bisect_right

from kbench.config.recipe import Recipe


def learning_rate(recipe: Recipe, position: float) -> float:
    """The learning rate at ``position`` in [0, 1], the fraction of the schedule that has passed.

    A function of epochs passed, never of steps taken: an epoch with fewer steps does not stretch
    the schedule, and a shorter training sees all of it.
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
    return recipe.lr


def warming_up(recipe: Recipe, epoch: int, horizon: int) -> bool:
    """Whether the learning rate still ramps up as ``epoch`` begins, the schedule laid over ``horizon`` epochs."""
    # Multiplied before it is divided: 3 / 47 * 47 is less than 3.
    return epoch * recipe.epochs / horizon < recipe.warmup_epochs
