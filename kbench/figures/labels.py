"""Labels: names beside marks, each where it covers nothing; and what is written at the ends of curves."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from kbench.figures.layout import SIZES, Options, width_in
from kbench.figures.style import Look

SIDES = tuple(
    (x, y)
    for far in (5, 11)
    for x, y in ((far, 0), (-far, 0), (0, far), (0, -far), (far, far), (-far, far), (far, -far), (-far, -far))
)  # of a name from its mark, to be tried in this order [pt]
MARK_PT = 7.0  # room that a mark takes

Marks = Mapping[str, tuple[float, float]]


def place_labels(figure: Figure, panels: Sequence[tuple[Axes, Marks]], options: Options) -> bool:
    """Write the name of each mark beside it, or nothing where one does not fit; returns whether all did."""
    figure.draw_without_rendering()  # the layout must be known
    font = SIZES[options.size].font_pt - 1
    placed = [_offsets(axes, marks, font, figure.dpi) for axes, marks in panels]
    if any(offsets is None for offsets in placed):
        return False
    for (axes, marks), offsets in zip(panels, placed, strict=True):
        for name, (x, y) in (offsets or {}).items():
            side = "left" if x > 0 else "right" if x < 0 else "center"
            height = "bottom" if y > 0 else "top" if y < 0 else "center"
            axes.annotate(
                name, marks[name], (x, y), textcoords="offset points", ha=side, va=height, fontsize=font,
                color=options.looks[name].text_color, in_layout=False,
            )  # fmt: skip
    return True


def _offsets(axes: Axes, marks: Marks, font: float, dpi: float) -> dict[str, tuple[float, float]] | None:
    """Where each name goes, from its mark [pt]; None when one finds no place."""
    point = dpi / 72
    at = {name: axes.transData.transform(place) for name, place in marks.items()}
    taken = [_box(x, y, MARK_PT * point, MARK_PT * point) for x, y in at.values()]
    taken += [box for line in axes.get_lines() for box in _covered(line, point)]
    inside = axes.get_window_extent()
    found: dict[str, tuple[float, float]] = {}
    for name, (x, y) in at.items():
        wide, high = width_in(name, font) * dpi + 2 * point, 1.25 * font * point
        for dx, dy in SIDES:
            box = _box(x + _moved(dx * point, wide), y + _moved(dy * point, high), wide, high)
            clear = not any(box.overlaps(other) for other in taken)
            if clear and inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1:
                found[name] = (dx, dy)
                taken.append(box)
                break
        else:
            return None
    return found


def _covered(line: Line2D, point: float) -> Iterator[Bbox]:
    """What a line of steps or of single marks covers."""
    places = line.get_transform().transform(line.get_xydata())
    joined = line.get_linestyle() != "None"
    for begin, end in zip(places[:-1], places[1:], strict=True) if joined else zip(places, places, strict=True):
        yield Bbox([np.minimum(begin, end) - point, np.maximum(begin, end) + point])


def _moved(offset: float, length: float) -> float:
    """From the mark to the middle of a text that begins ``offset`` beside it."""
    return offset + length / 2 * ((offset > 0) - (offset < 0))


def _box(x: float, y: float, wide: float, high: float) -> Bbox:
    return Bbox.from_bounds(x - wide / 2, y - high / 2, wide, high)


GROUND: Any = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
WIDEST = 1.9  # panel, in ends of the slowest curve: the rest is room for labels


class End(NamedTuple):
    """The end of a strategy's curve: mean, first and last over seeds [s]; ``change`` of its time as text."""

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


def strip_height_in(n: int, options: Options) -> float:
    """How high the strip of ``n`` strategies is [inch]: its lines, its ticks and its label."""
    return (1.7 * n + 4.5) * _font(options) / 72


def measure_strip(data: pd.DataFrame, options: Options, panel_in: float, *, named: bool) -> Strip:
    """Measure the strip of a panel; without ``named`` only the changes of time are written."""
    ends = [_end(str(name), own.iloc[-1]) for name, own in data.groupby("strategy", sort=False)]
    by_name = {end.strategy: end for end in ends}
    start = by_name.get(options.baseline, max(ends, key=lambda end: end.seconds)).seconds
    labels = [f"{end.strategy}  {end.change}".strip() if named else end.change for end in ends]
    room = panel_in - 6.5 * _font(options) / 72  # beside the axis and its label
    lengths = [width_in(label, _font(options)) / room + 0.02 for label in labels]
    return Strip(ends, labels, lengths, start, _width(ends, lengths, start))


def draw_end_labels(axes: Axes, top: Axes, strip: Strip, options: Options) -> None:
    """Per strategy an arrow from the baseline's end to its own; dotted lines lead up to the curves in ``top``."""
    far = max(end.last for end in strip.ends)
    width = strip.width or WIDEST
    for row, (end, label, length) in enumerate(zip(strip.ends, strip.labels, strip.lengths, strict=True)):
        look = options.looks[end.strategy]
        _draw(axes, top, end, row, look, start=strip.start, is_baseline=end.strategy == options.baseline)
        left, right = min(strip.start, end.first), max(strip.start, end.last)
        gap = 0.015 * width * far
        on_right = right + (length * width + 0.015) * far <= width * far
        at, side = (right + gap, "left") if on_right else (left - gap, "right")
        axes.text(at, row, label, color=look.text_color, ha=side, va="center", fontsize=_font(options), bbox=GROUND)
    axes.set_ylim(len(strip.ends) - 0.4, -0.6)
    axes.set_xlim(0, far * width)
    top.set_xlim(0, far * width)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("whole run", fontsize=_font(options))


def _font(options: Options) -> float:
    return SIZES[options.size].font_pt - 1


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
    dotted: Any = {"color": look.color, "lw": 0.5, "ls": (0, (1, 2))}
    axes.plot([end.seconds] * 2, [-1, row], **dotted)
    top.plot([end.seconds] * 2, [0, 100 * end.accuracy], **dotted)
    axes.plot([end.first, end.last], [row, row], color=look.color, lw=3, alpha=0.35, solid_capstyle="butt")
    if not is_baseline:
        arrow = {"arrowstyle": "->", "color": look.color, "lw": 0.9, "shrinkA": 0, "shrinkB": 2.5}
        axes.annotate("", (end.seconds, row), (start, row), arrowprops=arrow)
    axes.plot(end.seconds, row, color=look.color, ls="", **look.marker_keywords)
