"""Time breakdown: the parts of each strategy's training time, and below them what is off the clock."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kbench.analysis.frame import Frames
from kbench.analysis.pairing import with_shared_staging
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.layout import SIZES, Options, add_legend, lay_out, set_title, with_settings
from kbench.figures.registry import FigureKind
from kbench.figures.seed_stats import GROUP_KEYS, in_order, matched_runs, seeds_text
from kbench.figures.style import FAINT
from kbench.records.schema import TIME_PARTS


class BarStyle(NamedTuple):
    """How a part of the time is drawn."""

    color: str
    hatch: str = ""
    edge: str = "white"  # the hatch has its colour


class Bar(NamedTuple):
    """A part of the time as it is named in the legend, and drawn."""

    label: str
    style: BarStyle


BROWN, GREY = "#8a4b00", "#808080"
# What any training pays for is blue, what selection adds is orange: each from light to dark, told apart in grey.
# The last style of each is for a part that is still to come.
STYLES = {
    "training": tuple(map(BarStyle, ("#c6dbef", "#85b6da", "#3a85bf", "#0b3d77", "#04172e"))),
    "selection": (
        BarStyle("#fff0dc", "....", BROWN),
        BarStyle("#f7a654", "////", BROWN),
        BarStyle("#d55e00", "\\\\\\\\"),
        BarStyle("#6e2f00", "...."),
        BarStyle("#331500", "xxxx", BROWN),
    ),
    "off clock": tuple(BarStyle("none", hatch, GREY) for hatch in ("////", "xxxx", "....", "++++")),
}


def _bars(use: str, parts: Mapping[str, str]) -> dict[str, Bar]:
    """The bars of columns of time with labels; where there are more than styles, these begin again."""
    return {
        column: Bar(label, style) for (column, label), style in zip(parts.items(), cycle(STYLES[use]), strict=False)
    }


def _labels(use: str) -> dict[str, str]:
    return {part.column: part.label for part in TIME_PARTS if part.use.on == use}


ON_CLOCK = {
    **_bars("training", _labels("training")),
    **_bars("selection", _labels("selection")),
    "rest_s": Bar("not told apart", BarStyle("#a0a0a0")),
}
_off_clock = {"eval_s": "evaluation", "stage_s": "staging"} | _labels("off clock")  # in this order
OFF_CLOCK = _bars("off clock", {column: f"{label} (off the clock)" for column, label in _off_clock.items()})
VISIBLE = 0.002  # of the longest part: what is shorter everywhere needs no entry in the legend
ROUNDING = 0.02  # of the training time, by which its parts may miss it


def time_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per pair, strategy and part: mean ``seconds`` per run over seeds, all phases together; ``train_s`` of them.

    ``on_clock`` says whether a part is training time.  Where the parts of a log do not add up to its
    training time, the rest is a part of its own.  Raises ResultsError when no time is known.
    """
    runs = with_shared_staging(matched_runs(frames, comparison))
    runs = runs[runs["run_id"].isin(matched_runs(frames, comparison, timed=True)["run_id"])]
    epochs = frames.epochs[frames.epochs["run_id"].isin(runs["run_id"])]
    parts = [part for part in [*ON_CLOCK, *OFF_CLOCK] if part in epochs]
    sums = epochs.groupby("run_id")[parts].sum(min_count=1).astype(float)
    sums["train_s"] = epochs.groupby("run_id")["train_s"].agg(lambda s: s.sum(skipna=False)).astype(float)
    runs = runs[[*GROUP_KEYS, "run_id", "stage_s"]]
    sums = runs.merge(sums.reset_index(), on="run_id", how="left")
    sums = sums[sums.groupby(GROUP_KEYS)["train_s"].transform(lambda s: s.notna().all()).astype(bool)]
    if sums.empty:
        raise ResultsError(
            f"{frames.name}: no strategy has the training time of all its runs, so there is nothing to divide",
            hint="kbench plot --kind epochs needs no times",
        )
    rest = sums["train_s"] - sums[[part for part in ON_CLOCK if part in sums]].sum(axis=1)
    sums["rest_s"] = rest.where(rest > ROUNDING * sums["train_s"], 0.0)
    return in_order(_long(sums), comparison)


def _long(sums: pd.DataFrame) -> pd.DataFrame:
    """A row per part.  One that a log does not hold is in the rest of that run, and nothing here."""
    groups = sums.groupby(GROUP_KEYS, sort=False)
    means = groups[[*ON_CLOCK]].sum(min_count=1).div(groups.size(), axis=0).join(groups[[*OFF_CLOCK, "train_s"]].mean())
    means = means.assign(seeds=groups.size()).reset_index()
    parts = [*ON_CLOCK, *OFF_CLOCK]
    long = means.melt(
        id_vars=[*GROUP_KEYS, "seeds", "train_s"], value_vars=parts, var_name="part", value_name="seconds"
    )
    return long.assign(on_clock=long["part"].isin(ON_CLOCK))


@with_settings
def draw_time(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per pair, a bar per strategy; what is off the clock is a hollow bar below it."""
    most = int(data.groupby("pair")["strategy"].nunique().max())
    size = SIZES[options.size]
    high = (2.2 * most + 6) * size.font_pt / 72
    layout = lay_out(data["pair"].nunique(), options, height=high / size.panel_in[1])
    for axes, pair in zip(layout.panels, data["pair"].unique(), strict=True):
        own = data[data["pair"] == pair]
        _draw_bars(axes, own, options)
        set_title(axes, f"{pair}: {seeds_text(own['seeds'], 'arithmetic mean')}", layout.panel_in)
        axes.set_xlabel("time per run [s], all phases")
    shown = set(data.loc[data["seconds"] > VISIBLE * data["seconds"].max(), "part"])
    add_legend(layout.figure, [_patch(bar) for name, bar in (ON_CLOCK | OFF_CLOCK).items() if name in shown])
    return layout.figure


def _draw_bars(axes: Axes, data: pd.DataFrame, options: Options) -> None:
    table = data.pivot_table(index="strategy", columns="part", values="seconds", sort=False, dropna=False).fillna(0.0)
    rows = np.arange(len(table))
    ends = _stack(axes, table, ON_CLOCK, rows - 0.1, height=0.5)
    off_ends = _stack(axes, table, OFF_CLOCK, rows + 0.29, height=0.2)
    far = max(ends.max(), off_ends.max())
    totals = data.groupby("strategy", sort=False)["train_s"].first()
    digits = next((n for n, most in ((3, 1), (2, 10), (1, 100)) if totals.max() < most), 0)
    font = SIZES[options.size].font_pt - 1
    for row, end, total in zip(rows, ends, totals, strict=True):
        axes.annotate(f"{total:,.{digits}f} s", (end, row - 0.1), (3, 0), textcoords="offset points", va="center",
                      fontsize=font)  # fmt: skip
    axes.set_yticks(rows, [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.45, -0.55)
    axes.set_xlim(0, max(far, ends.max() * 1.18))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", **FAINT)
    axes.set_axisbelow(True)


def _stack(axes: Axes, table: pd.DataFrame, bars: Mapping[str, Bar], at: np.ndarray, *, height: float) -> np.ndarray:
    """Bars of several parts, each beginning where the last ended; returns where they end [s]."""
    ends = np.zeros(len(table))
    for name, bar in bars.items():
        axes.barh(at, table[name], left=ends, height=height, label=name, **_fill(bar.style))
        ends = ends + table[name].to_numpy()
    return ends


def _fill(style: BarStyle) -> Any:
    return {"facecolor": style.color, "edgecolor": style.edge, "hatch": style.hatch, "lw": 0.4}


def _patch(bar: Bar) -> Artist:
    return Patch(label=bar.label, **_fill(bar.style))


TIME_BREAKDOWN = FigureKind("where the time went", time_data, draw_time, shows_times=True)
