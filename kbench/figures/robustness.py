"""Robustness: final error against the share of wrong training labels, over pairs that differ in nothing else."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kbench.analysis.frame import Frames
from kbench.analysis.interval import estimate
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.layout import Options, add_strategy_legend, lay_out, set_title, with_settings
from kbench.figures.pareto import error_label
from kbench.figures.registry import FigureKind
from kbench.figures.seed_stats import matched_runs, metric_of, seeds_text
from kbench.figures.style import FAINT

MIN_LEVELS = 2  # of noise, that a line takes
BESIDE = 0.012  # of the axis, between the intervals of two strategies


def robustness_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per line, strategy and share of wrong labels [fraction]: mean final error [fraction] and its 95 % interval.

    ``pair`` names all pairs of a line: they differ in nothing but ``noise``.  ``low`` and ``high`` are of Student's t
    over seeds, null with fewer than three.  Raises ResultsError where no two pairs are such.
    """
    runs = matched_runs(frames, comparison)
    runs = runs[runs["noise"].notna() & runs["final_acc1"].notna()]
    runs = runs.drop_duplicates(["noise_key", "strategy", "noise", "seed"])  # pairs that differ in their names alone
    levels = runs.groupby("noise_key")["noise"].transform("nunique") if len(runs) else pd.Series(dtype=float)
    runs = runs[levels >= MIN_LEVELS]
    if runs.empty:
        raise ResultsError(
            f"{frames.name}: no two pairs differ in nothing but the noise of their labels: no line to draw",
            hint="kbench run noise trains three such pairs",
        )
    ordered = runs.sort_values("noise", kind="stable")
    together = {str(key): list(map(str, own["pair"].unique())) for key, own in ordered.groupby("noise_key")}
    rows = []
    for (key, strategy), own in runs.groupby(["noise_key", "strategy"], sort=False):
        pairs = together[str(key)]
        for noise, level in own.groupby("noise"):
            error = estimate((1 - level["final_acc1"].astype(float)).tolist())
            low, high = error.ci or (np.nan, np.nan)
            rows.append(
                {"pair": ", ".join(pairs), "strategy": strategy, "noise": noise, "error": error.mean, "low": low,
                 "high": high, "seeds": len(level), "metric": metric_of(frames, pairs[0])}
            )  # fmt: skip
    return pd.DataFrame(rows)


@with_settings
def draw_robustness(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per set of pairs, a line per strategy, an interval at each point."""
    sets = list(dict.fromkeys(data["pair"]))
    layout = lay_out(len(sets), options, height=1.15)
    for axes, pairs in zip(layout.panels, sets, strict=True):
        own = data[data["pair"] == pairs]
        _draw(axes, own, options)
        known = own["low"].notna()
        where = "" if known.all() else " where known"
        shown = f"mean and 95 % interval{where}" if known.any() else "mean"
        set_title(axes, f"{pairs}: {seeds_text(own['seeds'], shown)}", layout.panel_in)
        axes.set_xlabel("wrong labels in training [%]")
        axes.set_ylabel(error_label(str(own["metric"].iloc[0])))
    add_strategy_legend(layout.figure, set(data["strategy"]), options)
    return layout.figure


def _draw(axes: Axes, own: pd.DataFrame, options: Options) -> None:
    strategies = [name for name in options.strategies if name in set(own["strategy"])]
    levels = 100 * np.unique(own["noise"].to_numpy(dtype=float))
    step = BESIDE * (levels[-1] - levels[0])
    for place, strategy in enumerate(strategies):
        rows, look = own[own["strategy"] == strategy], options.looks[strategy]
        at = 100 * rows["noise"].to_numpy(dtype=float) + step * (place - (len(strategies) - 1) / 2)
        low, mean, high = (100 * rows[name].to_numpy(dtype=float) for name in ("low", "error", "high"))
        axes.vlines(at, np.maximum(low, 0), high, color=look.color, lw=1, alpha=0.6, label="_interval")
        (line,) = axes.plot(at, mean, color=look.color, ls=look.dash, **look.marker_keywords)
        line.set_label(strategy)
    axes.set_xticks(levels, [f"{level:g}" for level in levels])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", **FAINT)


ROBUSTNESS = FigureKind(
    "final error against the share of wrong labels, over pairs that differ in nothing else",
    robustness_data,
    draw_robustness,
    min_pairs=MIN_LEVELS,
    min_noises=MIN_LEVELS,
)
