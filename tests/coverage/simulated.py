"""Simulated comparisons, judged by kbench's own functions: seeds of a normal distribution with a known truth."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kbench.analysis.audit.plausibility import plausibility_of_times
from kbench.analysis.curve import Curve
from kbench.analysis.drift import allow_for_drift, drift_of
from kbench.analysis.interval import PLAIN, Confidence, estimate, estimate_change
from kbench.analysis.margin import margin_test
from kbench.analysis.multiple_testing import adjust_p_values
from kbench.analysis.rows import Row
from kbench.analysis.time_to_target import Rule, time_to_target

BLANK = Row(
    pair="p", strategy="mine", seeds=0, acc_final=None, acc_final_diff=None, acc_final_diff_ci=None, acc_best=None,
    acc_best_sd=None, acc_diff=None, acc_diff_ci=None, train_s=None, time_diff=None, time_diff_ci=None,
    ideal_time_change=None, targets=(), n_trained=None, n_scored=None, n_refreshed=None, hidden_mean=None,
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What a strategy does to a run, and how much that varies from seed to seed (of paired differences)."""

    gain: float = 0.0  # [point] of final accuracy
    gain_sd: float = 0.25  # [point]
    saving: float = 0.0  # [fraction] of the training time
    time_sd: float = 0.03  # of the logarithm of the ratio

    def draw(self, rng: np.random.Generator, n_experiments: int, n_seeds: int) -> tuple[np.ndarray, np.ndarray]:
        """Differences of accuracy [fraction] and ratios of time: (n_experiments, n_seeds) each."""
        gains = rng.normal(self.gain / 100, self.gain_sd / 100, (n_experiments, n_seeds))
        logs = rng.normal(math.log(1 - self.saving), self.time_sd, (n_experiments, n_seeds))
        return gains, np.exp(logs)


def row_of(
    gains: list[float],
    ratios: list[float],
    *,
    margin: float | None = None,
    confidence: Confidence = PLAIN,
    strategy: str = "mine",
) -> Row:
    """The row of a comparison in which the seeds differ so from the baseline's, before any adjustment."""
    accuracy, time = estimate(gains, confidence=confidence), estimate_change(ratios, confidence=confidence)
    shown = margin_test(accuracy, time, margin, confidence=confidence)
    return Row(
        **{
            **BLANK.__dict__,
            "strategy": strategy, "seeds": len(gains), "margin": margin,
            "acc_final_diff": accuracy.mean, "acc_final_diff_ci": accuracy.ci, "acc_final_diff_p": accuracy.p,
            "time_diff": time.mean, "time_diff_ci": time.ci, "time_diff_p": time.p,
            "shown": None if shown.p is None else "no" if shown.refuted else "open", "shown_p_holm": shown.p,
            "saves_at_least": shown.saves_at_least, "saves_at_most": shown.saves_at_most,
            "loses_at_most": shown.loses_at_most, "loses_at_least": shown.loses_at_least,
            "equivalent": shown.equivalent, "seeds_needed": shown.seeds_needed,
        }
    )  # fmt: skip


def experiments(
    truth: Truth, n_seeds: int, *, n: int, margin: float | None = None, seed: int = 0, confidence: Confidence = PLAIN
) -> Iterator[Row]:
    """``n`` comparisons of one strategy, adjusted as those of a whole experiment are."""
    gains, ratios = truth.draw(np.random.default_rng(seed), n, n_seeds)
    for own, times in zip(gains.tolist(), ratios.tolist(), strict=True):
        yield adjust_p_values([row_of(own, times, margin=margin, confidence=confidence)])[0]


def hit_differences(n_seeds: int, n_samples: int, *, taste: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Hits of one strategy less those of another, (n_seeds, n_samples), which are alike over all samples there are.

    Both get about nine in ten right; ``taste`` is how differently they find samples hard.
    """
    hard, own = rng.normal(0, 1, n_samples), rng.normal(0, taste, n_samples)
    hits = [
        1.8 + hard + sign * own + rng.normal(0, 0.03, (n_seeds, 1)) + rng.normal(0, 0.5, (n_seeds, n_samples)) > 0
        for sign in (0.5, -0.5)
    ]
    return hits[0].astype(np.int8) - hits[1]


def rivals(n_rivals: int, n_seeds: int, *, rng: np.random.Generator, gain: float = 0.0) -> list[Row]:
    """Rows of strategies beside one baseline, adjusted; the first truly gains ``gain`` points, the others nothing."""
    base = rng.normal(0, 0.25 / math.sqrt(2), n_seeds)
    own = rng.normal(0, 0.25 / math.sqrt(2), (n_rivals, n_seeds))
    own[0] += gain
    ratios = np.exp(rng.normal(0, 0.03, (n_rivals, n_seeds)))
    rows = [
        row_of(gains, times, strategy=f"s{i}")
        for i, (gains, times) in enumerate(zip(((own - base) / 100).tolist(), ratios.tolist(), strict=True))
    ]
    return adjust_p_values(rows)


def ceiling_alarm(n_rivals: int, n_seeds: int, *, rng: np.random.Generator) -> bool:
    """Whether any of several strategies that save just what their samples allow is called too fast to believe."""
    logs = rng.normal(math.log(0.8), 0.05, (n_rivals, n_seeds))
    matched = pd.DataFrame(
        {
            "pair": "p", "strategy": np.repeat([f"s{i}" for i in range(n_rivals)], n_seeds),
            "total_train_s": 100 * np.exp(logs).ravel(), "total_train_s_base": 100.0,
            "is_timed": True, "is_timed_base": True,
        }
    )  # fmt: skip
    gains = np.linspace(0, 0.2, n_seeds).tolist()
    rows = [
        replace(row_of(gains, np.exp(own).tolist(), strategy=f"s{i}"), ideal_time_change=-0.2)
        for i, own in enumerate(logs)
    ]
    return any(found.severity == "warning" for found in plausibility_of_times(rows, matched))


def curve(epoch_s: float, tau: float, noise: NDArray[np.float64]) -> Curve:
    """A run that learns with time constant ``tau`` [s], evaluated after each epoch."""
    seconds = list(accumulate([epoch_s] * int(60 / epoch_s)))
    accuracy = [1 - math.exp(-s / tau) + float(noise[i]) for i, s in enumerate(seconds)]
    return Curve(
        pair="p", strategy="s", seed=0, match_key="k", seconds=tuple(seconds), accuracy=tuple(accuracy), start_s=0.0
    )


def speedups(epoch_s: float, rule: Rule, *, n: int, n_seeds: int = 10) -> tuple[float, float]:
    """How often a strategy that learns like the baseline, in epochs of 2 s, is said to be faster, and to be slower."""
    rng, faster, slower = np.random.default_rng(6), 0, 0
    for _ in range(n):
        taus, noise = 10 * np.exp(0.05 * rng.standard_normal((n_seeds, 2))), 0.02 * rng.standard_normal(
            (n_seeds, 2, 60)
        )
        pairs = [
            (curve(epoch_s, own, e[0]), curve(2.0, base, e[1])) for (own, base), e in zip(taus, noise, strict=True)
        ]
        found = time_to_target(pairs, "0.9", 0.9, is_baseline=False, rule=rule).speedup_ci
        faster += found is not None and found[0] > 1
        slower += found is not None and found[1] < 1
    return faster / n, slower / n


LABELS = ["baseline", "sb", "sb-random", "sb-budget", "iswr", "iswr-random", "iswr-budget"]
FOLLOWS = {"sb-random": "sb", "sb-budget": "sb", "iswr-random": "iswr", "iswr-budget": "iswr"}
BESIDE: Mapping[str, list[tuple[str, str]]] = {
    "baseline": [("sb", "baseline"), ("iswr", "baseline")],
    "control": [(leader, label) for label, leader in FOLLOWS.items()],
}
DRIFT, SPREAD = 0.01, 0.01  # of the logarithm of time: a place, and chance


def false_savings(orders: list[list[list[str]]], *, allowing: bool, drift: float = DRIFT) -> dict[str, float]:
    """The share of comparisons that claim saved time, though all strategies take the same on a machine that drifts.

    Args:
        orders: Of each experiment, for each seed, the strategies in the order in which they ran.
        allowing: Whether intervals allow for the drift.
        drift: Of the logarithm of time, a place.
    """
    random_numbers, claims = np.random.default_rng(0), {kind: list[bool]() for kind in BESIDE}
    for experiment in orders:
        n = len(experiment)
        labels = [label for order in experiment for label in order]
        blocks = [str(block) for block, order in enumerate(experiment) for _ in order]
        places = [float(place) for order in experiment for place in range(len(order))]
        logs = drift * np.array(places) + SPREAD * random_numbers.standard_normal(len(places))
        found = drift_of(labels, blocks, places, logs) if allowing else None
        at = {label: [i for i, name in enumerate(labels) if name == label] for label in LABELS}
        for kind, pairs in BESIDE.items():
            for own, other in pairs:
                ratios = np.exp(logs[at[own]] - logs[at[other]]).tolist()
                apart = sum(places[i] for i in at[own]) / n - sum(places[i] for i in at[other]) / n
                change = allow_for_drift(estimate_change(ratios), ratios, apart, found)
                claims[kind].append(change.ci is not None and change.ci[1] < 0)
    return {kind: float(np.mean(found)) for kind, found in claims.items()}
