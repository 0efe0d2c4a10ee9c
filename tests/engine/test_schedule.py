"""The learning rate: warm-up, steps, cosine, as a function of the share of the schedule that has passed."""

import math
from typing import Any

import pytest

from kbench.config.recipe import Recipe
from kbench.engine.schedule import learning_rate, warming_up
from kbench.strategies import load


def recipe_with(**keys: Any) -> Recipe:
    return Recipe.model_validate({"epochs": 100, "global_batch": 32, "lr": 0.8} | keys)


@pytest.mark.parametrize("epoch", [0.0, 0.5, 1.0, 3.75, 4.99])
def test_warm_up_is_a_line_to_the_learning_rate(epoch: float) -> None:
    recipe = recipe_with(warmup_epochs=5, warmup_from=0.1)
    assert learning_rate(recipe, epoch / 100) == pytest.approx(0.8 * (0.1 + 0.9 * epoch / 5))


@pytest.mark.parametrize("schedule", ["step", "cosine", "constant"])
def test_the_full_learning_rate_is_reached_when_the_warm_up_ends(schedule: str) -> None:
    assert learning_rate(recipe_with(warmup_epochs=5, schedule=schedule), 0.05) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("epoch", "drops"), [(0.0, 0), (59.9, 0), (60.1, 1), (119.9, 1), (120.1, 2), (160.1, 3), (199.9, 3)]
)
def test_a_step_schedule_drops_at_each_milestone(epoch: float, drops: int) -> None:
    recipe = recipe_with(epochs=200, milestones=(60, 120, 160), gamma=0.2)
    assert learning_rate(recipe, epoch / 200) == pytest.approx(0.8 * 0.2**drops)


@pytest.mark.parametrize("epoch", [5.0, 20.0, 52.5, 77.7, 100.0])
def test_a_cosine_falls_from_the_end_of_the_warm_up_to_min_lr(epoch: float) -> None:
    recipe = recipe_with(schedule="cosine", warmup_epochs=5, min_lr=0.01)
    expected = 0.01 + 0.79 / 2 * (1 + math.cos(math.pi * (epoch - 5) / 95))
    assert learning_rate(recipe, epoch / 100) == pytest.approx(expected)


def test_a_cosine_is_halved_half_way_and_ends_at_min_lr() -> None:
    recipe = recipe_with(schedule="cosine", min_lr=0.02)
    assert learning_rate(recipe, 0.5) == pytest.approx(0.41)
    assert learning_rate(recipe, 1.0) == pytest.approx(0.02)


@pytest.mark.parametrize("epoch", [5.0, 42.5, 100.0])
def test_a_cosine_over_all_epochs_is_as_far_down_as_if_there_had_been_no_warm_up(epoch: float) -> None:
    recipe = recipe_with(schedule="cosine", warmup_epochs=5, min_lr=0.01, cosine_over="all")
    assert learning_rate(recipe, epoch / 100) == pytest.approx(0.01 + 0.79 / 2 * (1 + math.cos(math.pi * epoch / 100)))
    assert learning_rate(recipe, 0.025) == pytest.approx(0.4)  # the ramp itself is the same


def test_steps_may_fall_within_an_epoch_as_they_are_counted_in_updates() -> None:
    per_epoch = 121_266 // 128
    recipe = recipe_with(epochs=20, milestones=(8192 / per_epoch, 16384 / per_epoch))
    rates = [learning_rate(recipe, (update + 0.5) / per_epoch / 20) for update in (8191, 8192, 16383, 16384)]
    assert rates == pytest.approx([0.8, 0.08, 0.08, 0.008])


def test_a_constant_schedule_stays() -> None:
    assert {learning_rate(recipe_with(schedule="constant"), i / 10) for i in range(11)} == {0.8}


def test_the_learning_rate_depends_on_the_position_alone() -> None:
    recipe = recipe_with(schedule="cosine", warmup_epochs=5)
    positions = [i / 37 for i in range(38)]
    forwards = [learning_rate(recipe, position) for position in positions]
    backwards = [learning_rate(recipe, position) for position in reversed(positions)]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_a_budget_sees_the_whole_schedule(schedule: str) -> None:
    milestones = {"milestones": (30, 60, 80)} if schedule == "step" else {}
    recipe = recipe_with(schedule=schedule, warmup_epochs=4, **milestones)
    (phase,) = load("budget", {"share": 0.25}).phases(recipe.epochs)
    middles = [learning_rate(recipe, (index + 0.5) / phase.horizon) for index in range(phase.epochs)]
    assert len(middles) == 25
    assert middles == pytest.approx([learning_rate(recipe, (4 * index + 2) / 100) for index in range(25)])
    assert middles[-1] < 0.01 * recipe.lr or schedule == "step" and middles[-1] == pytest.approx(0.8 * 1e-3)


def test_the_beginning_of_a_longer_training_sees_the_beginning_of_the_schedule() -> None:
    recipe = recipe_with(schedule="cosine")
    score, _ = load("forget", {"score_epochs": 20}).phases(recipe.epochs)
    last = learning_rate(recipe, (score.epochs - 0.5) / score.horizon)
    assert last == pytest.approx(0.4 * (1 + math.cos(math.pi * 0.195)))


@pytest.mark.parametrize("warmup", [0, 1, 3, 5, 29])
def test_the_warm_up_is_over_in_the_epoch_that_it_ends_with(warmup: int) -> None:
    for epochs in range(warmup + 1, 300):
        recipe = recipe_with(epochs=epochs, warmup_epochs=warmup)
        told = [epoch for epoch in range(epochs) if warming_up(recipe, epoch, epochs)]
        assert told == list(range(warmup)), epochs


def test_the_warm_up_shrinks_with_a_shorter_training() -> None:
    recipe = recipe_with(epochs=90, warmup_epochs=6)
    assert [warming_up(recipe, epoch, 45) for epoch in range(5)] == [True, True, True, False, False]
