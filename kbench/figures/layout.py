"""The layout of figures: width, panels, titles, legend, and the file that a figure becomes."""

import io
import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import wraps
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from kbench import files
from kbench.analysis.rows import Comparison
from kbench.figures.style import RC, Look, looks


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a figure is made for: its width and its letters."""

    width_in: float | None  # [inch] of the whole figure; None: as wide as its panels ask for
    panel_in: tuple[float, float]  # [inch] width (where the figure's is not given) and height of a panel
    columns: int  # of panels, at most
    font_pt: float


# One column of ACM's proceedings is 3.33 in wide and fits IEEE's 3.5; 6.9 in fit ACM's 7.0 and IEEE's 7.16.
SIZES = {
    "screen": Size(width_in=None, panel_in=(4.6, 2.9), columns=3, font_pt=8),
    "one": Size(width_in=3.33, panel_in=(3.33, 1.9), columns=1, font_pt=7),
    "two": Size(width_in=6.9, panel_in=(3.45, 2.1), columns=2, font_pt=7),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the figures of a comparison are drawn: strategies, baseline and size."""

    baseline: str
    strategies: tuple[str, ...]  # of the experiment: each looks the same in all of its figures
    size: str = "screen"

    @property
    def looks(self) -> dict[str, Look]:
        """The look of each strategy."""
        return looks(self.strategies)

    @property
    def rc(self) -> Any:
        """Settings of matplotlib."""
        font = SIZES[self.size].font_pt
        line = 1.3 if self.size == "screen" else 1.0
        small = dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), font - 1)
        scale = {"font.size": font, "axes.labelsize": font, "axes.titlesize": font, "lines.linewidth": line}
        return {**RC, **small, **scale, "lines.markersize": 3.5 if self.size == "screen" else 2.8}


def options_for(comparison: Comparison, size: str = "screen") -> Options:
    """The options for the figures of a comparison; ``size`` is a name of ``SIZES``."""
    strategies = dict.fromkeys(row.strategy for row in comparison.rows)
    return Options(baseline=comparison.baseline, strategies=tuple(strategies), size=size)


@dataclass(frozen=True)
class Layout:
    """A figure and its panels; below each there may be a second, lower one."""

    figure: Figure
    panels: tuple[Axes, ...]
    below: tuple[Axes, ...]
    panel_in: float  # [inch] width of a panel, about


def lay_out(
    n: int, options: Options, *, below_in: float = 0, columns: int | None = None, height: float = 1.0
) -> Layout:
    """Make a figure of ``n`` panels.

    Args:
        n: How many panels.
        options: Its size, among others.
        below_in: Height of a strip below each panel [inch].
        columns: Of panels, at most; None: as many as the size allows.
        height: Factor by which the panels are stretched.
    """
    size = SIZES[options.size]
    wide = min(n, size.columns if columns is None else min(columns, size.columns))
    if n == 4 and columns is None:
        wide = min(2, size.columns)  # 2 x 2
    rows = ceil(n / wide)
    width = size.width_in or size.panel_in[0] * wide
    high = size.panel_in[1] * height
    figure = Figure(figsize=(width, rows * (high + below_in)), layout="constrained")
    heights = [high, below_in] if below_in else [high]
    grid = figure.subplots(rows * len(heights), wide, squeeze=False, height_ratios=heights * rows)
    tops = [grid[len(heights) * (i // wide), i % wide] for i in range(rows * wide)]
    lows = [grid[len(heights) * (i // wide) + 1, i % wide] for i in range(rows * wide)] if below_in else []
    for axes in tops[n:] + lows[n:]:
        axes.remove()
    return Layout(figure, tuple(tops[:n]), tuple(lows[:n]), width / wide)


def with_settings(draw: Callable[[pd.DataFrame, Options], Figure]) -> Callable[[pd.DataFrame, Options], Figure]:
    """Have a function draw with the settings of its options, and leave matplotlib's own as they were."""

    @wraps(draw)
    def drawn(data: pd.DataFrame, options: Options) -> Figure:
        with mpl.rc_context(options.rc):
            return draw(data, options)

    return drawn


def width_in(text: str, font_pt: float) -> float:
    """How wide a line of text is [inch], in the letters of the figures."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=font_pt), False)
    return float(width) / 72


def set_title(axes: Axes, text: str, panel_in: float) -> None:
    """Set a title, broken into lines where the panel is too narrow for it."""
    font = float(mpl.rcParams["axes.titlesize"])
    letters = max(10, int(len(text) * 0.85 * panel_in / max(width_in(text, font), 0.1)))
    axes.set_title("\n".join(textwrap.wrap(text, letters)))


def legend_line(label: str, look: Look, *, ls: str | None = None) -> Line2D:
    """The entry of a strategy in a legend, with its dash or with ``ls``."""
    return Line2D([], [], color=look.color, ls=look.dash if ls is None else ls, label=label, **look.marker_keywords)


def add_strategy_legend(figure: Figure, strategies: Collection[str], options: Options) -> None:
    """Add a legend of strategies, in the order of the table."""
    add_legend(figure, [legend_line(name, look) for name, look in options.looks.items() if name in strategies])


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Add a legend below all panels, in as many columns as fit: it covers nothing."""
    font = float(mpl.rcParams["legend.fontsize"])
    handle = (float(mpl.rcParams["legend.handlelength"]) + 2.4) * font / 72  # with its gaps
    widest = max(width_in(str(h.get_label()), font) for h in handles) + handle
    columns = max(1, min(len(handles), int((figure.get_figwidth() - 0.1) / widest)))
    columns = ceil(len(handles) / ceil(len(handles) / columns))  # rows of equal length
    rows = ceil(len(handles) / columns)
    figure.set_figheight(figure.get_figheight() + (rows + 1) * 1.35 * font / 72)
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns, columnspacing=1.2)


def add_note(figure: Figure, text: str, options: Options) -> None:
    """Add a sentence above all panels, in as many lines as it takes."""
    font = SIZES[options.size].font_pt - 1
    letters = max(20, int(len(text) * 0.95 * figure.get_figwidth() / width_in(text, font)))
    lines = textwrap.wrap(text, letters)
    figure.set_figheight(figure.get_figheight() + len(lines) * 1.35 * font / 72)
    figure.suptitle("\n".join(lines), fontsize=font)


def save(figure: Figure, data: pd.DataFrame, path: Path, *, transparent: bool = False) -> Path:
    """Write the figure, and beside it as .csv the data that it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with mpl.rc_context(RC), files.writing(path) as draft:
        figure.savefig(draft, format=path.suffix[1:], transparent=transparent, metadata=dated.get(path.suffix))
    files.write(path.with_suffix(".csv"), data.to_csv(index=False))
    return path


def svg_element(figure: Figure) -> str:
    """The figure as an <svg> element for a page: no background, its black as the page's text colour.

    Text is text.  The grounds of labels are ``var(--ground)``, white where the page does not set it.
    """
    written = io.StringIO()
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_alpha(0)
    with mpl.rc_context(RC):  # savefig would draw twice
        FigureCanvasSVG(figure).print_svg(written, metadata={"Date": None})  # type: ignore[no-untyped-call]
    element = written.getvalue()[written.getvalue().index("<svg") :]
    element = element.replace("<svg ", '<svg fill="currentColor" ', 1)
    return element.replace("#000000", "currentColor").replace("#ffffff", "var(--ground, #ffffff)")
