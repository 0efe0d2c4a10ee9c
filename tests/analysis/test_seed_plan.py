"""A seed plan gives the power that it promises, says what it is based on, and what its runs cost."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from simulated import Truth, experiments

from kbench.analysis.margin import joint_power
from kbench.analysis.seed_plan import Bases, Basis, Deviation, Question, seed_plan, strategy_plan
from kbench.records.calibration import Instruments, Spread

PAIR = "digits-cnn-digits"
ASKED = Question(margins={"p": 0.005, PAIR: 0.01})


def basis(acc_sd: float, time_sd: float, n: int, saves: float | None = None) -> Basis:
    return Basis(
        source="runs", n_seeds=n, accuracy=Deviation(sd=acc_sd, df=n - 1), time=Deviation(sd=time_sd, df=n - 1),
        saves=saves,
    )  # fmt: skip


def test_the_planned_seeds_give_about_the_power_that_was_promised() -> None:
    truth = Truth(gain=0.0, gain_sd=0.5, saving=0.02, time_sd=0.03)
    plan = strategy_plan("p", "mine", basis(0.005, 0.03, 1000, saves=0.02), ASKED, n_rivals=1)
    assert plan.seeds is not None and plan.seeds_high is not None
    shown = [row.shown == "yes" for row in experiments(truth, plan.seeds, n=600, margin=0.005)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.05)


def test_the_smallest_saving_that_is_named_is_shown_with_that_power_too() -> None:
    plan = strategy_plan("p", "mine", basis(0.005, 0.03, 1000), ASKED, n_rivals=1)
    assert plan.seeds is not None and plan.shows_saving_from is not None and plan.saves is None
    truth = Truth(gain=0.0, gain_sd=0.5, saving=plan.shows_saving_from, time_sd=0.03)
    shown = [row.shown == "yes" for row in experiments(truth, plan.seeds, n=600, margin=0.005)]
    assert np.mean(shown) == pytest.approx(0.82, abs=0.05)  # a seed is whole, so a little more than 0.8


@pytest.mark.parametrize("n_pilot", [3, 5])
def test_with_the_upper_bound_of_the_spread_four_plans_of_five_have_the_power(n_pilot: int) -> None:
    gaps, reached, reached_plainly = [(math.log(1 / 0.7), 0.03), (0.005, 0.005)], [], []
    for draws in np.random.default_rng(1).normal(0, 1, (300, 2, n_pilot)):
        acc_sd, time_sd = 0.005 * draws[0].std(ddof=1), 0.03 * draws[1].std(ddof=1)
        plan = strategy_plan("p", "mine", basis(acc_sd, time_sd, n_pilot, saves=0.3), ASKED, n_rivals=1)
        assert plan.seeds_high is not None and plan.seeds is not None
        reached.append(joint_power(gaps, plan.seeds_high) >= 0.8)
        reached_plainly.append(joint_power(gaps, plan.seeds) >= 0.8)
    assert np.mean(reached) == pytest.approx(0.8, abs=0.07)
    assert np.mean(reached_plainly) < 0.6  # what a plan without the bound would have


def test_more_rivals_a_narrower_margin_and_more_power_take_more_seeds() -> None:
    def seeds(question: Question = ASKED, n_rivals: int = 1) -> int:
        return strategy_plan("p", "m", basis(0.004, 0.03, 5, saves=0.1), question, n_rivals=n_rivals).seeds or 0

    plain = seeds()
    assert seeds(n_rivals=6) > plain
    assert seeds(replace(ASKED, margins={"p": 0.003})) > plain
    assert seeds(replace(ASKED, power=0.95)) > plain
    assert seeds(replace(ASKED, loses=0.002)) > plain


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (basis(0.004, 0.03, 5, saves=-0.1), "it took 10.0 % more time"),
        (replace(basis(0.004, 0.03, 5, saves=0.1), loses_at_least=0.006), "shown to lose at least 0.60 points"),
        (basis(0.5, 0.03, 5, saves=0.1), "more than 1000 seeds"),
        (Basis(source="nothing"), "nothing tells how far its final accuracy varies"),
    ],
)
def test_where_no_number_of_seeds_shows_it_the_plan_says_why(found: Basis, why: str) -> None:
    plan = strategy_plan("p", "mine", found, ASKED, n_rivals=1)
    assert plan.seeds is None and why in plan.why


def filled(book: Any, n_seeds: int = 4) -> Any:
    """Runs with differences of .01, -.01, ... and ratios of .8 and .9; a run of ``mine`` takes about 17 s of 20."""
    for seed in range(n_seeds):
        swing = 0.01 * (-1) ** seed
        book.run("baseline", seed, [0.90 + swing / 2], [20.0])
        book.run("mine", seed, [0.90 + 1.5 * swing], [17.0 + 100 * swing])
    return book.frames()


def plan_of(frames: Any, spreads: dict[str, Spread] | None = None, **more: Any) -> Any:
    known = Bases(frames, spreads or {}, "baseline")
    given = {"baseline": "baseline", "planned": [PAIR], "nodes": 2, **more}
    return seed_plan("book", ASKED, known, {PAIR: ["baseline", "mine"]}, **given)


def test_own_runs_are_planned_from_and_their_cost_is_counted(book: Any) -> None:
    plan = plan_of(filled(book), n_parallel=4)
    (mine,) = plan.strategies
    assert (mine.source, mine.n_source_seeds, mine.run_s_from) == ("runs", 4, "runs")
    assert mine.acc_sd == pytest.approx(np.std([0.01, -0.01, 0.01, -0.01], ddof=1))
    assert mine.saves == pytest.approx(1 - math.sqrt(0.8 * 0.9))
    assert plan.seeds == mine.seeds and plan.seeds_high == mine.seeds_high and plan.n_done == 4
    assert plan.seeds > 4
    a_seed_s = 20.5 + 17.5  # with the evaluation, of half a second
    assert mine.run_s == pytest.approx(17.5)
    assert plan.node_hours == pytest.approx(plan.seeds * 2 * a_seed_s / 3600)
    assert plan.n_runs == 2 * plan.seeds and plan.n_runs_left == 2 * (plan.seeds - 4)
    assert plan.node_hours_left == pytest.approx((plan.seeds - 4) * 2 * a_seed_s / 3600)
    assert plan.days_left == pytest.approx((plan.seeds - 4) * a_seed_s / 4 / 86400)


def test_two_seeds_of_its_own_are_too_few_and_the_calibration_is_taken(book: Any) -> None:
    spread = Spread(
        pair=PAIR, instruments=Instruments(model="digits-cnn", dataset="digits", ranks=1), metric="top1", epochs=1,
        n_seeds=5, n_disturbed=0, time_sd=0.02, acc_sd=0.03, final_sd=0.01, run_s=9.0, total_s=8.0,
    )  # fmt: skip
    (mine,) = plan_of(filled(book, 2), {PAIR: spread}).strategies
    assert (mine.source, mine.n_source_seeds) == ("calibration", 5) and mine.saves is not None
    assert (mine.acc_sd, mine.time_sd) == pytest.approx((0.01 * math.sqrt(2), 0.02))
    alone = plan_of(None, {PAIR: spread})
    (mine,) = alone.strategies
    assert mine.saves is None and mine.shows_saving_from is not None
    assert (mine.run_s, mine.run_s_from) == (8.0, "calibration")
    older = spread.model_copy(update={"final_sd": None, "total_s": None})
    (mine,) = plan_of(None, {PAIR: older}).strategies
    assert (mine.acc_sd, mine.run_s) == pytest.approx((0.03 * math.sqrt(2), 9.0))


def test_three_seeds_of_the_baseline_alone_are_taken_for_independent_of_the_strategy(book: Any) -> None:
    for seed, accuracy in enumerate([0.9, 0.91, 0.92]):
        book.run("baseline", seed, [accuracy], [20.0 + seed])
    (mine,) = plan_of(book.frames()).strategies
    assert (mine.source, mine.run_s_from) == ("baseline", "pair")
    assert mine.acc_sd == pytest.approx(0.01 * math.sqrt(2))


def test_where_all_times_were_disturbed_accuracies_are_planned_from_and_a_loss_that_is_shown_ends_the_plan(
    book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = filled(book)
    monkeypatch.setattr(type(frames), "untimed", frozenset(frames.runs["run_id"]))
    (mine,) = plan_of(frames).strategies
    assert (mine.source, mine.saves, mine.time_sd, mine.shows_saving_from) == ("runs", None, None, None)
    assert mine.acc_sd == pytest.approx(np.std([0.01, -0.01, 0.01, -0.01], ddof=1)) and mine.run_s == pytest.approx(
        17.5
    )
    for seed in range(4):
        book.run("worse", seed, [0.80 + 0.001 * seed], [10.0])
    known = Bases(book.frames(), {}, "baseline")
    worse = strategy_plan(PAIR, "worse", known.of(PAIR, "worse"), ASKED, n_rivals=1)
    assert worse.seeds is None and "shown to lose at least" in worse.why


def test_without_runs_and_calibration_nothing_is_known(book: Any) -> None:
    plan = plan_of(None)
    assert [each.source for each in plan.strategies] == ["nothing"]
    assert plan.seeds is None and plan.node_hours is None and plan.as_json()["seeds"] is None
