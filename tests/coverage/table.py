"""Error rates and power of the verdicts that kbench prints, by simulation; `make coverage` writes docs/coverage.md."""

import sys
from pathlib import Path

import numpy as np
from simulated import Truth, experiments

from kbench.analysis.controls import judge
from kbench.analysis.interval import estimate, prediction_interval
from kbench.analysis.looks import confidence_at, false_difference_rate
from kbench.analysis.rows import ControlVerdict, Row

N = 2000
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


def main() -> None:
    """Write the page to the file that is named, or print it."""
    lines = [INTRODUCTION, _row(HEADS), _row(["---:"] * len(HEADS))]
    for n_seeds in SEEDS:
        for sd in DEVIATIONS:
            lines += [_row(_line(n_seeds, sd, loss)) for loss in LOSSES]
    lines += ["", "## Published numbers and looks", "", *_others()]
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
