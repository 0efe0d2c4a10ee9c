"""Accuracy over training time, with the change of total time at the end of each curve."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.labels import draw_ends, strip_in, strip_of
from kbench.figures.layout import View, drawing, key_of, sheet, titled
from kbench.figures.seed_stats import draw_band, metric_of, over_seeds, points, said
from kbench.figures.style import FAINT

SHOWN_POINTS = 10  # of accuracy, below the end of the worst curve


def curve_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per pair, strategy and epoch: mean and range over seeds of time [s] and accuracy [fraction].

    ``time_diff`` is the change of total time of the table.  Raises ResultsError when no time is known.
    """
    data = over_seeds(points(frames, comparison), ["seconds", "acc"])
    if data.empty:
        raise ResultsError(
            f"{frames.name}: no run has a time and an accuracy for its epochs, so there is no curve over time",
            hint="kbench plot --kind epochs needs no times",
        )
    change = {(row.pair, row.strategy): row.time_diff for row in comparison.rows}
    who = zip(data["pair"], data["strategy"], strict=True)
    data["time_diff"] = [math.nan if change.get(key) is None else change[key] for key in who]
    data["metric"] = data["pair"].map({pair: metric_of(frames, pair) for pair in data["pair"].unique()})
    return data


@drawing
def draw_curves(data: pd.DataFrame, view: View) -> Figure:
    """A panel per pair; below each, where every curve ends and by how much its time differs from the baseline's.

    The strips name the strategies; where not all names fit there, a key does.
    """
    most = int(data.groupby("pair")["strategy"].nunique().max())
    page = sheet(data["pair"].nunique(), view, below_in=strip_in(most, view))
    parts = [data[data["pair"] == pair] for pair in data["pair"].unique()]
    strips = [strip_of(own, view, page.panel_in, named=True) for own in parts]
    named = all(strip.width for strip in strips)
    for top, bottom, own, strip in zip(page.panels, page.below, parts, strips, strict=True):
        draw_accuracy(top, own, view, x="seconds")
        titled(top, f"{own['pair'].iloc[0]}: {said(own)}", page.panel_in)
        top.tick_params(labelbottom=False)
        draw_ends(bottom, top, strip if named else strip_of(own, view, page.panel_in, named=False), view)
        bottom.set_xlabel("training time [s], every cost included")
    if not named:
        key_of(page.figure, set(data["strategy"]), view)
    return page.figure


def draw_accuracy(axes: Axes, data: pd.DataFrame, view: View, *, x: str) -> None:
    """Curves of a pair, cut below where learning has barely begun."""
    looks = view.looks
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
