"""Accuracy by epoch: what a method learns from its samples, whatever they cost."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.curves import draw_accuracy
from kbench.figures.layout import View, drawing, key_of, sheet, titled
from kbench.figures.seed_stats import metric_of, over_seeds, points, said


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


@drawing
def draw_epochs(data: pd.DataFrame, view: View) -> Figure:
    """A panel per pair, and a key below."""
    page = sheet(data["pair"].nunique(), view)
    for axes, pair in zip(page.panels, data["pair"].unique(), strict=True):
        own = data[data["pair"] == pair]
        draw_accuracy(axes, own, view, x="epoch")
        titled(axes, f"{pair}: {said(own)}", page.panel_in)
        axes.set_xlabel("epochs trained")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    key_of(page.figure, set(data["strategy"]), view)
    return page.figure
