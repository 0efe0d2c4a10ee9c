"""Schedules in DeepCAM's keys: those of the reference come out as the reference logs them."""

import pytest

from kbench.config.recipe import Recipe
from kbench.exporters.recipe_keys import left_out, scheduler_keys, step_keys


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({"epochs": 35, "global_batch": 2048, "lr": 0.0055, **changes})


def test_reference_points_come_out_as_they_were_logged() -> None:
    """Of mlcommons/hpc, deepcam/compliance/1.0.0/rcps_deepcam.json, as configs/deepcam.yaml has them in epochs."""
    large = recipe(warmup_epochs=6.78, milestones=[20.347])
    told = step_keys(large, steps_per_epoch=121266 // 2048)
    assert told == {"scheduler_lr_warmup_steps": 400, "scheduler_milestones": [800]}
    small = recipe(global_batch=128, milestones=[8.6495, 17.3])
    told = step_keys(small, steps_per_epoch=121266 // 128)
    assert told == {"scheduler_lr_warmup_steps": 0, "scheduler_milestones": [8192, 16384]}
    assert left_out(large) == left_out(small) == []


def test_a_cosine_that_a_warm_up_cuts_off_has_no_length_in_these_keys() -> None:
    cut = recipe(schedule="cosine", warmup_epochs=5, cosine_over="all")
    assert "scheduler_t_max" not in step_keys(cut, steps_per_epoch=10)
    assert left_out(cut) == ["scheduler_t_max is left out: the cosine has begun when the warm-up ends"]
    whole = recipe(schedule="cosine", cosine_over="all")
    assert step_keys(whole, steps_per_epoch=10)["scheduler_t_max"] == 350


@pytest.mark.parametrize("begins, told", [(0.0, True), (0.1, False)])
def test_the_factor_of_the_reference_is_told_for_a_ramp_from_zero_alone(begins: float, told: bool) -> None:
    asked = recipe(warmup_epochs=5, warmup_from=begins)
    assert ("scheduler_lr_warmup_factor" in scheduler_keys(asked)) == told
    assert bool(left_out(asked)) != told
