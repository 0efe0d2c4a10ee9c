"""Across pairs: AlgoPerf's profiles and score, and rliable's aggregates, on numbers worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kbench.analysis.across_pairs import AcrossPairs, AcrossRow
from kbench.analysis.aggregates import (
    expanded_interval,
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
    probability_of_improvement,
)
from kbench.analysis.compare import compare
from kbench.analysis.performance_profile import performance_ratios, profile_score, steps
from kbench.analysis.tables.layout import document
from kbench.analysis.tables.registry import table_format

MODELS = ("digits-cnn", "digits-b", "digits-c")


def test_a_profile_and_its_score_are_algoperf_s() -> None:
    inf = math.inf
    times = np.array(  # (strategies, pairs, runs): medians 10 20 30, 15 10 inf, 50 10 inf
        [
            [[10, 10, 99], [20, 20, 20], [30, 30, inf]],
            [[15, 14, 16], [10, 9, 11], [inf, inf, 1]],
            [[50, 50, 50], [10, 10, 10], [inf, inf, inf]],
        ]
    )
    ratios = performance_ratios(times)
    assert ratios.tolist() == [[1.0, 2.0, 1.0], [1.5, 1.0, inf], [5.0, 1.0, inf]]
    assert profile_score(ratios) == pytest.approx([(1 + 2 / 3 + 1) / 3, (2.5 / 3 + 1) / 3, 1 / 3])
    assert steps({"a": 1.0, "b": 2.0, "c": 1.0}) == [(1.0, 2 / 3), (2.0, 1.0), (4.0, 1.0)]
    assert steps({"a": 5.0, "b": 1.5, "c": None}) == [(1.0, 0.0), (1.5, 1 / 3), (4.0, 1 / 3)]
    taus = np.linspace(1, 4, 30_001)  # as AlgoPerf's own code integrates
    profile = [(ratios <= tau).mean(axis=1) for tau in taus]
    assert profile_score(ratios) == pytest.approx(np.trapezoid(profile, taus, axis=0) / 3, abs=1e-3)


def test_a_pair_that_no_strategy_solves_counts_against_all() -> None:
    ratios = performance_ratios(np.array([[[math.inf], [1.0]], [[math.inf], [2.0]]]))
    assert profile_score(ratios) == pytest.approx([0.5, (2 / 3) / 2])


@pytest.mark.parametrize("n", [3, 8, 9, 30])
def test_the_interquartile_mean_is_the_trimmed_mean_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))
    assert interquartile_mean(np.array([1.0, 2, 3, 4, 5, 6, 7, 100])) == 4.5


def test_the_probability_of_improvement_is_that_of_mann_and_whitney() -> None:
    own, other = np.array([1.0, 2.0, 3.0, 3.0]), np.array([0.0, 2.0, 3.0, 5.0])
    expected = stats.mannwhitneyu(own, other, alternative="greater").statistic / 16
    assert probability_of_improvement(own, other) == pytest.approx(expected)
    assert probability_of_improvement(np.array([2.0, 2.0]), np.array([2.0, 2.0])) == 0.5


def test_intervals_of_the_bootstrap_cover_about_what_they_say() -> None:
    rng, n, pairs = np.random.default_rng(1), 5, np.array([0.0, 0.03, 0.06])
    truth = np.mean([interquartile_mean(rng.normal(pairs, 0.03, (n, 3)).ravel()) for _ in range(4000)])
    chance = float(np.mean(stats.norm.cdf(pairs / (0.03 * math.sqrt(2)))))
    hits = []
    for _ in range(150):
        own, base = rng.normal(pairs, 0.03, (n, 3)).T, rng.normal(0, 0.03, (n, 3)).T
        found = interquartile_interval(list(own)), improvement_interval(list(own), list(base))
        hits.append(
            [ci is not None and ci[0] <= value <= ci[1] for ci, value in zip(found, (truth, chance), strict=True)]
        )
    assert (np.mean(hits, axis=0) > 0.89).all()


def test_two_seeds_and_seeds_without_spread_have_no_interval() -> None:
    assert interquartile_interval([np.array([0.1, 0.2])] * 3) is None
    assert interquartile_interval([np.array([0.1, 0.1, 0.1])] * 3) is None
    assert improvement_interval([np.arange(3) + 9.0] * 3, [np.arange(3.0)] * 3) is None  # every run is better
    assert expanded_interval(np.array([math.inf, 1.0]), [3, 3, 3]) is None


def filled(book: Any, *, without: tuple[tuple[str, str], ...] = (), fails: tuple[str, str] | None = None) -> Any:
    """Three pairs with errors of .1, .2, .4; ``mine`` takes .8 of the time and ends with .9 of the error."""
    for model, error in zip(MODELS, (0.1, 0.2, 0.4), strict=True):
        for seed in range(3):
            for strategy, ratio, factor in (("baseline", 1.0, 1.0), ("mine", 0.8, 0.9), ("other", 1.5, 1.0)):
                if (model, strategy) not in without:
                    end = 1 - error * factor - 0.001 * (seed - 1) * (strategy == "mine")
                    seconds = [10.0 * ratio + 0.1 * seed * (strategy == "mine")] * 2
                    failed = "it diverged" if (model, strategy) == fails else ""
                    book.run(strategy, seed, [0.3, end], seconds, model=model, fails=failed)
    return book.frames()


def rows_of(frames: Any, targets: Any = ("final*1.05",)) -> tuple[AcrossPairs, dict[str, AcrossRow]]:
    across = compare(frames, baseline="baseline", targets=targets).across
    assert across is not None
    return across, {row.strategy: row for row in across.rows}


def test_three_pairs_are_put_together(book: Any) -> None:
    across, rows = rows_of(filled(book))
    assert across.left_out == () and len(across.pairs) == 3
    mine, other = rows["mine"], rows["other"]
    assert mine.time_iqm == pytest.approx(-0.19, abs=0.005) and mine.time_iqm_ci is not None
    assert mine.error_iqm == pytest.approx(-0.1, abs=0.002) and mine.error_iqm_ci is not None
    assert (mine.faster, mine.better, other.faster, other.better) == (1.0, 1.0, 0.0, 0.5)
    (profile,) = mine.profiles
    assert (profile.n_solved, profile.score) == (3, 1.0)
    slow = 1.5 / 0.81  # of the median run's
    assert [r.score for r in rows["other"].profiles] == pytest.approx([(4 - slow) / 3])
    assert [r.score for r in rows["baseline"].profiles] == pytest.approx([(4 - 1 / 0.81) / 3])


def test_two_pairs_are_too_few_and_nothing_is_put_together(book: Any) -> None:
    for model in MODELS[:2]:
        book.run("baseline", 0, [0.9], [1.0], model=model)
        book.run("mine", 0, [0.9], [1.0], model=model)
    assert compare(book.frames(), baseline="baseline", targets=[]).across is None


def test_a_strategy_that_is_not_on_every_pair_is_named_and_left_out(book: Any) -> None:
    across, rows = rows_of(filled(book, without=((MODELS[1], "other"),)))
    assert set(rows) == {"baseline", "mine"}
    assert across.left_out == (f"other has no matched run that is done on {MODELS[1]}-digits",)
    found = compare(book.frames(), baseline="baseline", targets=[])
    assert f"across pairs: {across.left_out[0]}" in [f.text for f in found.findings if f.kind == "across"]


def test_a_strategy_that_fails_on_a_pair_has_not_reached_its_target(book: Any) -> None:
    across, rows = rows_of(filled(book, fails=(MODELS[2], "mine")))
    assert "all its runs failed on digits-c-digits" in across.left_out[0]
    (profile,) = rows["mine"].profiles
    assert profile.ratios["digits-c-digits"] is None and profile.n_solved == 2 and profile.score == pytest.approx(2 / 3)
    assert rows["mine"].time_iqm is None and rows["other"].time_iqm is not None


def test_without_a_target_that_of_a_tenth_more_error_is_taken_and_named(book: Any) -> None:
    _, rows = rows_of(filled(book), targets=())
    assert [profile.requested for profile in rows["mine"].profiles] == ["final*1.1"]


def test_every_format_has_the_table_of_all_pairs(book: Any) -> None:
    found = document(compare(filled(book), baseline="baseline", targets=["final*1.05"]))
    texts = {form: table_format(form).render(found) for form in ("text", "markdown", "latex", "csv", "json")}
    assert "across 3 pairs" in texts["text"] and "across 3 pairs" in texts["markdown"] and "across 3" in texts["latex"]
    assert "book,all pairs,mine" in texts["csv"] and '"across": {' in texts["json"]
