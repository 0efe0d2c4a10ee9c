"""Names beside marks: each where it covers no other name and no mark, or nowhere."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from kbench.figures.page import SIZES, View, width_in

SIDES = tuple(
    (x, y)
    for far in (5, 11)
    for x, y in ((far, 0), (-far, 0), (0, far), (0, -far), (far, far), (-far, far), (far, -far), (-far, -far))
)  # of a name from its mark, to be tried in this order [pt]
MARK_PT = 7.0  # room that a mark takes

Marks = Mapping[str, tuple[float, float]]


def place_labels(figure: Figure, panels: Sequence[tuple[Axes, Marks]], view: View) -> bool:
    """Write the name of each mark beside it; returns False, and writes nothing, where one does not fit."""
    figure.draw_without_rendering()  # the layout must be known
    font = SIZES[view.size].font_pt - 1
    placed = [_offsets(axes, marks, font, figure.dpi) for axes, marks in panels]
    if any(offsets is None for offsets in placed):
        return False
    for (axes, marks), offsets in zip(panels, placed, strict=True):
        for name, (x, y) in (offsets or {}).items():
            side = "left" if x > 0 else "right" if x < 0 else "center"
            height = "bottom" if y > 0 else "top" if y < 0 else "center"
            axes.annotate(
                name, marks[name], (x, y), textcoords="offset points", ha=side, va=height, fontsize=font,
                color=view.looks[name].ink, in_layout=False,
            )  # fmt: skip
    return True


def _offsets(axes: Axes, marks: Marks, font: float, dpi: float) -> dict[str, tuple[float, float]] | None:
    """Where each name goes, from its mark [pt]; None when one finds no place."""
    point = dpi / 72
    at = {name: axes.transData.transform(place) for name, place in marks.items()}
    taken = [_box(x, y, MARK_PT * point, MARK_PT * point) for x, y in at.values()]
    taken += [box for line in axes.get_lines() for box in _boxes(line, point)]
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


def _boxes(line: Line2D, point: float) -> Iterator[Bbox]:
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
