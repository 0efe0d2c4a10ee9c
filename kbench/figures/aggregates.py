"""Aggregates across pairs with their intervals: interquartile means, and probabilities of improvement."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kbench.analysis.across_pairs import MIN_PAIRS
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.across import ALL_PAIRS
from kbench.errors import ResultsError
from kbench.figures.layout import SIZES, Options, add_legend, lay_out, set_title, width_in, with_settings
from kbench.figures.registry import FigureKind
from kbench.figures.style import FAINT


class Quantity(NamedTuple):
    """A column of the table across pairs, as a panel."""

    title: str
    axis: str
    neutral: float  # [%] where it differs in nothing from the baseline


MEANS = {
    "time_iqm": Quantity("training time, interquartile mean", "change from the baseline's [%]", 0),
    "error_iqm": Quantity("final error, interquartile mean", "change, of the baseline's error [%]", 0),
}
PROBABILITIES = {
    "faster": Quantity("takes less training time than the baseline", "probability [%]", 50),
    "better": Quantity("ends with a higher accuracy than the baseline", "probability [%]", 50),
}


def iqm_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per strategy the interquartile means [fraction] of the table, each with its interval.

    Raises ResultsError where there is none.
    """
    return _data(frames, comparison, MEANS)


def improvement_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per strategy the probabilities of improvement [fraction] of the table, each with its interval.

    Raises ResultsError where there is none.
    """
    return _data(frames, comparison, PROBABILITIES)


def _data(frames: Frames, comparison: Comparison, quantities: Mapping[str, Quantity]) -> pd.DataFrame:
    across = comparison.across
    rows = []
    for name in quantities:
        for row in across.rows if across else ():
            value, ci = getattr(row, name), getattr(row, f"{name}_ci")
            low, high = ci or (np.nan, np.nan)
            if value is not None:
                rows.append(
                    {"pair": ALL_PAIRS, "quantity": name, "strategy": row.strategy, "value": value, "low": low,
                     "high": high, "n_pairs": len(across.pairs) if across else 0}
                )  # fmt: skip
    if not rows:
        why = "; ".join(across.left_out) if across else f"it takes {MIN_PAIRS} pairs or more"
        raise ResultsError(f"{frames.name}: nothing across pairs: {why or 'nothing was run beside the baseline'}")
    return pd.DataFrame(rows)


@with_settings
def draw_intervals(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per quantity, a strategy per line: its estimate and interval; hollow where there is none."""
    quantities = MEANS | PROBABILITIES
    names = [name for name in quantities if name in set(data["quantity"])]
    strategies = [name for name in options.strategies if name in set(data["strategy"])]
    size = SIZES[options.size]
    high = (1.7 * len(strategies) + 5.5) * size.font_pt / 72
    layout = lay_out(len(names), options, columns=2 if len(names) > 1 else 1, height=high / size.panel_in[1])
    beside_names_in = layout.panel_in - max(width_in(name, size.font_pt) for name in strategies)
    for axes, name in zip(layout.panels, names, strict=True):
        own, quantity = data[data["quantity"] == name], quantities[name]
        _draw(axes, own, strategies, options)
        axes.axvline(quantity.neutral, color=options.looks[options.baseline].color, lw=0.8, zorder=1)
        axes.set_xlabel(quantity.axis)
        if quantity.neutral == 50:
            axes.set_xlim(-4, 104)
        set_title(axes, f"{quantity.title}, {own['n_pairs'].iloc[0]} pairs", beside_names_in)
    if data["low"].isna().any():
        entry: Artist = Line2D(
            [],
            [],
            color="#808080",
            ls="",
            marker="o",
            fillstyle="none",
            label="no interval: too few seeds, or all alike",
        )
        add_legend(layout.figure, [entry])
    return layout.figure


def _draw(axes: Axes, own: pd.DataFrame, strategies: list[str], options: Options) -> None:
    for row in own.itertuples():
        look, at = options.looks[str(row.strategy)], strategies.index(str(row.strategy))
        ends = 100 * np.array([row.low, row.high], dtype=float)
        if np.isfinite(ends).all():
            axes.plot(ends, [at, at], color=look.color, lw=2, alpha=0.5, solid_capstyle="butt", label="_interval")
        fill = "none" if np.isnan(ends).any() else look.color
        axes.plot(
            100 * float(row.value), at, color=look.color, ls="", ms=5, marker="o", markerfacecolor=fill,  # type: ignore
            label=str(row.strategy),
        )  # fmt: skip
    axes.set_yticks(range(len(strategies)), strategies)
    axes.set_ylim(len(strategies) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", **FAINT)
    axes.set_axisbelow(True)


IQM = FigureKind(
    "change of training time and final error over all pairs, interquartile means",
    iqm_data,
    draw_intervals,
    shows_times=True,
    min_pairs=MIN_PAIRS,
)
IMPROVEMENT = FigureKind(
    "probability of taking less time, and of a higher final accuracy, than the baseline, over all pairs",
    improvement_data,
    draw_intervals,
    shows_times=True,
    min_pairs=MIN_PAIRS,
)
