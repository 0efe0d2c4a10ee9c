"""Simulated comparisons, judged by kbench's own functions: seeds of a normal distribution with a known truth."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kbench.analysis.interval import PLAIN, Confidence, estimate, estimate_change
from kbench.analysis.margin import margin_test
from kbench.analysis.multiple_testing import adjust_p_values
from kbench.analysis.rows import Row

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
