"""Error rates and power of the verdicts that kbench prints, by simulation; `make coverage` writes docs/coverage.md."""

import random
import sys
from pathlib import Path

import numpy as np
from simulated import (
    FOLLOWS,
    LABELS,
    Truth,
    ceiling_alarm,
    experiments,
    false_savings,
    hit_differences,
    rivals,
    speedups,
)

from kbench.analysis.controls import judge
from kbench.analysis.interval import PLAIN, estimate, prediction_interval
from kbench.analysis.looks import confidence_at, false_difference_rate
from kbench.analysis.multiple_testing import ALPHA
from kbench.analysis.rows import ControlVerdict, Row
from kbench.analysis.sampling import interval_over_samples
from kbench.analysis.time_to_target import Rule
from kbench.experiment.order import balanced

N, N_FEW = 2000, 500  # the second of what is dearer to simulate
SEEDS, DEVIATIONS, LOSSES = (3, 5, 10), (0.1, 0.25, 0.5), (0.0, 0.25, 0.5, 1.0)
MARGIN, SAVING = 0.5, 0.2
HEADS = (
    "seeds", "sd", "loses", "interval misses", "bounds miss", "within the margin: yes", "no",
    "beats random", "worse than random", "equal to random", "beats its budget",
)  # fmt: skip
INTRODUCTION = f"""# How often verdicts are wrong

`make coverage` made this page: {N} simulated experiments a line, judged by kbench's own functions. Differences of
accuracy from seed to seed are normal with standard deviation `sd` [points]; the strategy truly loses `loses` points of
accuracy and saves {100 * SAVING:.0f} % of the time (times vary by 3 %); the margin is {MARGIN} points.
**Bold** is a wrong verdict, which may come in 5 % (an interval's side in 2.5 %; simulation adds or takes 1 %); what is
not bold is power. *worse*, *equal* and *beats its budget* are of a strategy that saves no time against the control.
"""

SIMULATED = f"""{N_FEW} simulated experiments a line (chance adds or takes 2 %). Test samples: two strategies get the
same share of all samples that there might be right, on 359 of them. Several strategies: all beside one baseline, sd
0.25 points. As fast as can be: in the time that the samples trained cost (times vary by 5 %). Targets: strategies that
learn alike; shorter epochs are half as long (*sooner* may come in 2.5 %). Drift: each place in a block takes 1 %
longer, orders are balanced as `kbench run` does (*saved time* may come in 2.5 %)."""


def main() -> None:
    """Write the page to the file that is named, or print it."""
    lines = [INTRODUCTION, _row(HEADS), _row(["---:"] * len(HEADS))]
    for n_seeds in SEEDS:
        for sd in DEVIATIONS:
            lines += [_row(_line(n_seeds, sd, loss)) for loss in LOSSES]
    lines += ["", "## Published numbers and looks", "", *_others()]
    lines += ["", "## Test samples, several strategies, targets, drift", "", SIMULATED, "", *_more()]
    text = "\n".join(lines) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    else:
        print(text)


def _line(n_seeds: int, sd: float, loss: float) -> list[str]:
    def rows(saving: float) -> list[Row]:
        truth = Truth(gain=-loss, gain_sd=sd, saving=saving)
        return list(experiments(truth, n_seeds, n=N, margin=MARGIN / 100, seed=n_seeds))

    fast, alike = rows(SAVING), rows(0.0)
    against, level = [judge(row) for row in fast], [judge(row) for row in alike]
    budget = [judge(row, equal_time=True) for row in alike]
    misses = [
        not row.acc_final_diff_ci[0] <= -loss / 100 <= row.acc_final_diff_ci[1] for row in fast if row.acc_final_diff_ci
    ]
    low = [row.loses_at_most is not None and row.loses_at_most < loss / 100 for row in fast]
    return [
        str(n_seeds),
        f"{sd:g}",
        f"{loss:g}",
        _percent(np.mean(misses), wrong=True),
        _percent(np.mean(low), wrong=True),
        _percent(np.mean([row.shown == "yes" for row in fast]), wrong=loss >= MARGIN),
        _percent(np.mean([row.shown == "no" for row in fast]), wrong=loss <= MARGIN),
        _percent(np.mean([verdict is ControlVerdict.BEATS for verdict in against]), wrong=loss >= MARGIN),
        _percent(np.mean([verdict is ControlVerdict.WORSE for verdict in level]), wrong=loss == 0),
        _percent(np.mean([verdict is ControlVerdict.EQUAL for verdict in level]), wrong=loss >= MARGIN),
        _percent(np.mean([verdict is ControlVerdict.BEATS for verdict in budget]), wrong=True),
    ]


def _others() -> list[str]:
    rng = np.random.default_rng(0)
    lines = [_row(["what", "seeds", "wrong"]), _row(["---", "---:", "---:"])]
    for n_seeds in (3, 5, 10, 20, 50):
        draws = rng.normal(77, 0.25, (N, n_seeds + 1)).tolist()
        found = [(prediction_interval(own[:-1], rounding=0.005), round(own[-1], 2)) for own in draws]
        outside = np.mean([not i[0] <= value <= i[1] for i, value in found if i])
        of_mean = np.mean([not i[0] <= own[-1] <= i[1] for own in draws if (i := estimate(own[:-1]).ci)])
        text = f"a printed run of the same distribution is outside (of the interval of the mean: {100 * of_mean:.0f} %)"
        lines.append(_row([text, str(n_seeds), _percent(outside, wrong=True)]))
    for looks in ((3, 6, 10), tuple(range(3, 11))):
        levels = {n: confidence_at(looks, n) for n in looks}
        draws = rng.normal(0, 1, (N, looks[-1])).tolist()
        wrong = np.mean([any(_excludes_zero(own[:n], levels[n]) for n in looks) for own in draws])
        unplanned = 100 * false_difference_rate(looks)
        text = f"a difference is shown at one of the looks that are planned (unplanned: {unplanned:.0f} %)"
        lines.append(_row([text, ", ".join(map(str, looks)), _percent(wrong, wrong=True)]))
    return lines


def _more() -> list[str]:
    lines = [_row(["what", "seeds", "wrong"]), _row(["---", "---:", "---:"])]
    rng = np.random.default_rng(1)
    for taste, who in ((0.0, "find the same samples hard"), (0.5, "find other samples hard")):
        for n_seeds in SEEDS:
            draws = [hit_differences(n_seeds, 359, taste=taste, rng=rng) for _ in range(N_FEW)]
            both = np.mean([not i[0] <= 0 <= i[1] for own in draws if (i := interval_over_samples(own))])
            seeds = np.mean([_excludes_zero(own.mean(axis=1).tolist(), PLAIN) for own in draws])
            text = f"an interval over seeds and samples misses; the two {who} (over seeds: {100 * seeds:.0f} %)"
            lines.append(_row([text, str(n_seeds), _percent(both, wrong=True)]))
    for n_rivals in (5, 15):
        for n_seeds in SEEDS:
            found = [rivals(n_rivals, n_seeds, rng=rng) for _ in range(N_FEW)]
            any_shown = np.mean([any((row.acc_final_diff_p_holm or 1) < ALPHA for row in rows) for rows in found])
            plain = np.mean([any((row.acc_final_diff_p or 1) < ALPHA for row in rows) for rows in found])
            beats = np.mean([any(judge(row) is ControlVerdict.BEATS for row in rows) for rows in found])
            text = f"any of {n_rivals} alike is shown to differ in accuracy (Holm; unadjusted: {100 * plain:.0f} %)"
            lines.append(_row([text, str(n_seeds), _percent(any_shown, wrong=True)]))
            text = f"any of {n_rivals} alike is said to beat its control"
            lines.append(_row([text, str(n_seeds), _percent(beats, wrong=True)]))
            found = [rivals(n_rivals, n_seeds, rng=rng, gain=0.5) for _ in range(N_FEW)]
            power = np.mean([(rows[0].acc_final_diff_p_holm or 1) < ALPHA for rows in found])
            text = f"power: the one of {n_rivals} that gains 0.5 points is shown to"
            lines.append(_row([text, str(n_seeds), _percent(power, wrong=False)]))
    for n_rivals in (1, 15):
        alarms = np.mean([ceiling_alarm(n_rivals, 3, rng=rng) for _ in range(N_FEW)])
        text = f"any of {n_rivals} as fast as can be is said to be faster than that (Holm)"
        lines.append(_row([text, "3", _percent(alarms, wrong=True)]))
    rules: list[tuple[Rule, str]] = [
        ("clock", "by the clock a target is reached sooner in shorter epochs"),
        ("sustained", "a target that holds at the next evaluation (no interval where lengths differ so)"),
        ("first", "by the first touch (no interval where lengths differ so)"),
    ]
    for rule, text in rules:
        sooner, _ = speedups(1.0, rule, n=N_FEW)
        lines.append(_row([text, "10", _percent(sooner, wrong=True)]))
    holding, text = (
        speedups(1.5, "sustained", n=N_FEW)[0],
        "one that holds is reached sooner in epochs of 3/4 the length",
    )
    lines.append(_row([text, "10", _percent(holding, wrong=True)]))
    alike, text = speedups(2.0, "first", n=N_FEW)[0], "by the first touch a target is reached sooner in epochs as long"
    lines.append(_row([text, "10", _percent(alike, wrong=True)]))
    for n_seeds in SEEDS:
        shuffled = random.Random(n_seeds)
        orders = [balanced([LABELS] * n_seeds, FOLLOWS, shuffled) for _ in range(20)]
        orders = [orders[i % len(orders)] for i in range(N_FEW)]
        with_it, without = false_savings(orders, allowing=True), false_savings(orders, allowing=False)
        for beside, share in with_it.items():
            text = f"saved time is claimed against the {beside} on a machine that drifts (not allowed for: "
            lines.append(_row([f"{text}{100 * without[beside]:.0f} %)", str(n_seeds), _percent(share, wrong=True)]))
    return lines


def _excludes_zero(values: list[float], confidence: object) -> bool:
    ci = estimate(values, confidence=confidence).ci  # type: ignore[arg-type]
    return ci is not None and not ci[0] <= 0 <= ci[1]


def _percent(share: object, *, wrong: bool) -> str:
    text = f"{100 * float(share):.1f} %"  # type: ignore[arg-type]
    return f"**{text}**" if wrong else text


def _row(cells: "list[str] | tuple[str, ...]") -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
