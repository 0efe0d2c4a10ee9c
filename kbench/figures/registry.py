"""The figures that there are, by name: what each shows, its data, its drawing."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.figures.curves import curve_data, draw_curves
from kbench.figures.epochs import draw_epochs, epoch_data
from kbench.figures.hidden import draw_hidden, hidden_data
from kbench.figures.layout import View
from kbench.figures.pareto import draw_pareto, pareto_data
from kbench.figures.speedup import draw_speedup, speedup_data
from kbench.figures.time_breakdown import draw_time, time_data


class Kind(NamedTuple):
    """A figure: ``data`` raises ResultsError where the results do not hold what it shows."""

    about: str
    data: Callable[[Frames, Comparison], pd.DataFrame]
    draw: Callable[[pd.DataFrame, View], Figure]


KINDS = {
    "curves": Kind("accuracy over training time, and the change of total time", curve_data, draw_curves),
    "epochs": Kind("accuracy by epoch", epoch_data, draw_epochs),
    "time": Kind("where the time went", time_data, draw_time),
    "hidden": Kind("shares hidden, moved back and selected, by epoch", hidden_data, draw_hidden),
    "pareto": Kind("error against cost, with the Pareto front", pareto_data, draw_pareto),
    "speedup": Kind("speed-up over the baseline for every target accuracy", speedup_data, draw_speedup),
}


def view_of(comparison: Comparison, size: str = "screen") -> View:
    """How the figures of a comparison are drawn; ``size`` is a name of ``page.SIZES``."""
    strategies = dict.fromkeys(row.strategy for row in comparison.rows)
    return View(baseline=comparison.baseline, strategies=tuple(strategies), size=size)
