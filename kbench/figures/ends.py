"""The strip below a panel of curves: where each ends, and by how much its time differs from the baseline's."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from kbench.figures.page import SIZES, View, width_in
from kbench.figures.style import Look

GROUND: Any = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
WIDEST = 1.9  # panel, in ends of the slowest curve: the rest is room for labels


class End(NamedTuple):
    """Where the curve of a strategy ends, over seeds [s]; ``change`` of its total time in words."""

    strategy: str
    seconds: float
    first: float
    last: float
    accuracy: float
    change: str


class Strip(NamedTuple):
    """The ends of a panel's curves, what is written beside each, and how wide that is, in widths of the panel."""

    ends: list[End]
    labels: list[str]
    lengths: list[float]
    start: float  # [s] the end of the baseline, where arrows begin
    width: float | None  # of the panel, in ends of the slowest curve; None: not all labels fit


def strip_in(n: int, view: View) -> float:
    """How high the strip of ``n`` strategies is [inch]: its lines, its ticks and its label."""
    return (1.7 * n + 4.5) * _font(view) / 72


def strip_of(data: pd.DataFrame, view: View, panel_in: float, *, named: bool) -> Strip:
    """Measure the strip of a panel; without ``named`` only the changes of time are written."""
    ends = [_end(str(name), own.iloc[-1]) for name, own in data.groupby("strategy", sort=False)]
    by_name = {end.strategy: end for end in ends}
    start = by_name.get(view.baseline, max(ends, key=lambda end: end.seconds)).seconds
    labels = [f"{end.strategy}  {end.change}".strip() if named else end.change for end in ends]
    room = panel_in - 6.5 * _font(view) / 72  # beside the axis and its label
    lengths = [width_in(label, _font(view)) / room + 0.02 for label in labels]
    return Strip(ends, labels, lengths, start, _width(ends, lengths, start))


def draw_ends(axes: Axes, top: Axes, strip: Strip, view: View) -> None:
    """Per strategy an arrow from the baseline's end to its own; leaders lead up to the curves in ``top``."""
    far = max(end.last for end in strip.ends)
    width = strip.width or WIDEST
    for row, (end, label, length) in enumerate(zip(strip.ends, strip.labels, strip.lengths, strict=True)):
        look = view.looks[end.strategy]
        _draw(axes, top, end, row, look, start=strip.start, is_baseline=end.strategy == view.baseline)
        left, right = min(strip.start, end.first), max(strip.start, end.last)
        gap = 0.015 * width * far
        on_right = right + (length * width + 0.015) * far <= width * far
        at, side = (right + gap, "left") if on_right else (left - gap, "right")
        axes.text(at, row, label, color=look.ink, ha=side, va="center", fontsize=_font(view), bbox=GROUND)
    axes.set_ylim(len(strip.ends) - 0.4, -0.6)
    axes.set_xlim(0, far * width)
    top.set_xlim(0, far * width)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("total time", fontsize=_font(view))


def _font(view: View) -> float:
    return SIZES[view.size].font_pt - 1


def _end(strategy: str, last: "pd.Series[Any]") -> End:
    change = "" if math.isnan(last["time_diff"]) else f"{100 * last['time_diff']:+.1f} %"
    seconds = (float(last["seconds"]), float(last["seconds_min"]), float(last["seconds_max"]))
    return End(strategy, *seconds, float(last["acc"]), change)


def _width(ends: list[End], lengths: list[float], start: float) -> float | None:
    """The narrowest panel, in ends of the slowest curve, in which each label fits on one side of its arrow."""
    far = max(end.last for end in ends)
    for width in np.arange(1.03, WIDEST, 0.02):
        spare = [
            max(min(start, end.first) / far / width, 1 - max(start, end.last) / far / width) - length - 0.015
            for end, length in zip(ends, lengths, strict=True)
        ]
        if min(spare) >= 0:
            return float(width)
    return None


def _draw(axes: Axes, top: Axes, end: End, row: int, look: Look, *, start: float, is_baseline: bool) -> None:
    leader: Any = {"color": look.color, "lw": 0.5, "ls": (0, (1, 2))}
    axes.plot([end.seconds] * 2, [-1, row], **leader)
    top.plot([end.seconds] * 2, [0, 100 * end.accuracy], **leader)
    axes.plot([end.first, end.last], [row, row], color=look.color, lw=3, alpha=0.35, solid_capstyle="butt")
    if not is_baseline:
        arrow = {"arrowstyle": "->", "color": look.color, "lw": 0.9, "shrinkA": 0, "shrinkB": 2.5}
        axes.annotate("", (end.seconds, row), (start, row), arrowprops=arrow)
    axes.plot(end.seconds, row, color=look.color, ls="", **look.mark)
