"""Accuracy over training time, with the change of a whole run's time at the end of each curve; and by epoch."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.labels import draw_end_labels, measure_strip, strip_height_in
from kbench.figures.layout import Options, add_strategy_legend, lay_out, set_title, with_settings
from kbench.figures.registry import FigureKind
from kbench.figures.seed_stats import draw_band, metric_of, over_seeds, points, seeds_text
from kbench.figures.style import FAINT

CLOCKS = {  # on an axis
    "train": "training time [s], every cost included",
    "total": "time to train [s]: training, evaluation and staging",
}
SHOWN_POINTS = 10  # of accuracy, below the end of the worst curve


def curve_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per pair, strategy and epoch: mean and range over seeds of time [s] (geometric) and accuracy [fraction].

    ``time_diff`` is the change of a whole run's time, as in the table.  Raises ResultsError when no time is known.
    """
    data = over_seeds(points(frames, comparison, timed=True), ["seconds", "acc"], geometric=["seconds"])
    if data.empty:
        raise ResultsError(
            f"{frames.name}: no run has a time and an accuracy for its epochs, so there is no curve over time",
            hint="kbench plot --kind epochs needs no times",
        )
    total = comparison.clock == "total"
    change = {(row.pair, row.strategy): row.total_diff if total else row.time_diff for row in comparison.rows}
    data["clock"] = comparison.clock
    rows = zip(data["pair"], data["strategy"], strict=True)
    data["time_diff"] = [math.nan if change.get(row) is None else change[row] for row in rows]
    data["metric"] = data["pair"].map({pair: metric_of(frames, pair) for pair in data["pair"].unique()})
    return data


@with_settings
def draw_curves(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per pair; below each, where every curve ends and by how much its time differs from the baseline's.

    The strips name the strategies; where not all names fit there, a legend does.
    """
    most = int(data.groupby("pair")["strategy"].nunique().max())
    layout = lay_out(data["pair"].nunique(), options, below_in=strip_height_in(most, options))
    parts = [data[data["pair"] == pair] for pair in data["pair"].unique()]
    strips = [measure_strip(own, options, layout.panel_in, named=True) for own in parts]
    named = all(strip.width for strip in strips)
    for top, bottom, own, strip in zip(layout.panels, layout.below, parts, strips, strict=True):
        draw_accuracy(top, own, options, x="seconds")
        set_title(top, f"{own['pair'].iloc[0]}: {seeds_text(own['seeds'])}", layout.panel_in)
        top.tick_params(labelbottom=False)
        draw_end_labels(
            bottom, top, strip if named else measure_strip(own, options, layout.panel_in, named=False), options
        )
        bottom.set_xlabel(CLOCKS[own["clock"].iloc[0]])
    if not named:
        add_strategy_legend(layout.figure, set(data["strategy"]), options)
    return layout.figure


def draw_accuracy(axes: Axes, data: pd.DataFrame, options: Options, *, x: str) -> None:
    """Curves of a pair, cut below where learning has barely begun."""
    looks = options.looks
    for strategy in data["strategy"].unique():
        own = data[data["strategy"] == strategy]
        draw_band(axes, own, looks[strategy], x=x, y="acc")
    axes.set_xlim(left=0)
    top = 100 * data["acc_max"].max()
    low = floor_of(data)
    axes.set_ylim(low, top + 0.03 * (top - low) + 0.01)
    axes.set_ylabel(f"{data['metric'].iloc[0]} [%]")
    axes.grid(axis="y", **FAINT)


def floor_of(data: pd.DataFrame) -> float:
    """The last ten points below the worst end [%]: where curves part; the data beside the figure has all."""
    ends = 100 * data.groupby("strategy")["acc"].last()
    return float(max(0, np.floor(ends.min() - SHOWN_POINTS)))


def epoch_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per pair, strategy and epoch of the last phase, from 1: mean and range over seeds of the accuracy [fraction].

    Raises ResultsError when no accuracy is known.
    """
    data = over_seeds(points(frames, comparison), ["acc"])
    if data.empty:
        raise ResultsError(f"{frames.name}: no run has an accuracy for its epochs", hint="kbench status shows the runs")
    data["epoch"] += 1
    data["metric"] = data["pair"].map({pair: metric_of(frames, pair) for pair in data["pair"].unique()})
    return data


@with_settings
def draw_epochs(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per pair, and a legend below."""
    layout = lay_out(data["pair"].nunique(), options)
    for axes, pair in zip(layout.panels, data["pair"].unique(), strict=True):
        own = data[data["pair"] == pair]
        draw_accuracy(axes, own, options, x="epoch")
        set_title(axes, f"{pair}: {seeds_text(own['seeds'])}", layout.panel_in)
        axes.set_xlabel("epochs trained")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_strategy_legend(layout.figure, set(data["strategy"]), options)
    return layout.figure


CURVES = FigureKind(
    "accuracy over training time, and the change of a whole run's", curve_data, draw_curves, shows_times=True
)
EPOCHS = FigureKind("accuracy by epoch", epoch_data, draw_epochs)
