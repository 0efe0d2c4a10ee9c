"""Accuracy over training time, or over epochs: data first, then axes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kbench.analysis.curve import Curve
from kbench.analysis.rows import Comparison
from kbench.figures.style import RC, Look, looks

ENDS = ("seconds", "seconds_min", "seconds_max", "acc", "time_diff")
SHOWN_POINTS = 10  # of accuracy, below the end of the worst curve
ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
PANEL_IN = (4.6, 4.2)  # width and height of a panel [inch]
WIDTH = 1.4  # of a panel, in ends of the slowest curve: room for the labels
CHARACTER = 0.014  # width of a letter of a label, in widths of a panel


def curve_data(curves: Sequence[Curve], comparison: Comparison) -> pd.DataFrame:
    """What the figures show: per pair, strategy and epoch, the mean and the spread over seeds.

    As in the table, a run counts where the baseline has its match.
    """
    matched = {c.match_key for c in curves if c.strategy == comparison.baseline}
    curves = [c for c in curves if c.match_key in matched]
    change = {(row.pair, row.strategy): row.time_diff for row in comparison.rows}
    rows = []
    for key in dict.fromkeys((c.pair, c.strategy) for c in curves):
        seeds = [c for c in curves if (c.pair, c.strategy) == key]
        for epoch in range(min(len(c.seconds) for c in seeds)):
            seconds = [c.seconds[epoch] for c in seeds]
            accuracy = [c.accuracy[epoch] for c in seeds]
            rows.append(
                {
                    "pair": key[0],
                    "strategy": key[1],
                    "epoch": epoch,
                    "seconds": np.mean(seconds),
                    "seconds_min": min(seconds),
                    "seconds_max": max(seconds),
                    "acc": np.mean(accuracy),
                    "acc_min": min(accuracy),
                    "acc_max": max(accuracy),
                    "seeds": len(seeds),
                    "time_diff": math.nan if change.get(key) is None else change[key],
                }
            )
    return pd.DataFrame(rows)


def time_to_accuracy(data: pd.DataFrame, baseline: str) -> Figure:
    """Curves over seconds, a panel per pair; below each, where every curve ends and by how much it differs."""
    with mpl.rc_context(RC):
        figure, columns = _panels(data, strip=True)
        look_of = looks(list(data["strategy"].unique()))
        for (top, bottom), pair in zip(columns, data["pair"].unique(), strict=True):
            own = data[data["pair"] == pair]
            _draw(top, own, look_of, x="seconds")
            top.set_title(_title(own))
            top.tick_params(labelbottom=False)
            _ends(bottom, top, own, baseline, look_of)
            bottom.set_xlabel("training time [s], every cost included")
        columns[0][0].set_ylabel("top-1 accuracy [%]")
        return figure


def accuracy_by_epoch(data: pd.DataFrame) -> Figure:
    """Curves over epochs of the last phase, a panel per pair."""
    with mpl.rc_context(RC):
        figure, columns = _panels(data, strip=False)
        look_of = looks(list(data["strategy"].unique()))
        for (top, _), pair in zip(columns, data["pair"].unique(), strict=True):
            own = data[data["pair"] == pair]
            _draw(top, own.assign(epochs=own["epoch"] + 1), look_of, x="epochs")
            top.set_title(_title(own))
            top.set_xlabel("epochs trained")
            top.xaxis.set_major_locator(MaxNLocator(integer=True))
        columns[0][0].set_ylabel("top-1 accuracy [%]")
        drawn = {str(line.get_label()): line for top, _ in columns for line in top.get_lines()}
        columns[-1][0].legend(
            handles=[drawn[name] for name in look_of],
            loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=3.5,
        )  # fmt: skip
        return figure


def save(figure: Figure, data: pd.DataFrame, path: Path) -> Path:
    """Write the figure, and beside it as .csv the data that it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(RC):
        figure.savefig(path)
    data.to_csv(path.with_suffix(".csv"), index=False)
    return path


def _panels(data: pd.DataFrame, *, strip: bool) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    n = data["pair"].nunique()
    figure = Figure(figsize=(PANEL_IN[0] * n, PANEL_IN[1] if strip else PANEL_IN[1] * 0.75), layout="constrained")
    rows = 2 if strip else 1
    grid = figure.subplots(rows, n, squeeze=False, sharex="col", height_ratios=[2.2, 1] if strip else [1])
    return figure, [(grid[0, i], grid[-1, i]) for i in range(n)]


def _draw(axes: Axes, data: pd.DataFrame, look_of: Mapping[str, Look], *, x: str) -> None:
    """Mean curves with the range over seeds, cut below where learning has barely begun."""
    for strategy in data["strategy"].unique():
        look, own = look_of[strategy], data[data["strategy"] == strategy]
        axes.fill_between(own[x], 100 * own["acc_min"], 100 * own["acc_max"], color=look.color, alpha=0.13, lw=0)
        marks = _marks(len(own), max(1, len(own) // 8))
        axes.plot(
            own[x], 100 * own["acc"], color=look.color, ls=look.dash, marker=look.marker, ms=3.5,
            markevery=marks, label=strategy,
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(_floor(data), 100 * data["acc_max"].max() + 0.3)
    axes.grid(axis="y", color="#e6e6e6", lw=0.6)


def _title(data: pd.DataFrame) -> str:
    seeds = sorted({int(n) for n in data["seeds"]})
    shown = "one seed" if seeds == [1] else f"mean and range of {'-'.join(map(str, seeds))} seeds"
    return f"{data['pair'].iloc[0]}: {shown}"


def _marks(n: int, every: int) -> list[int]:
    """Markers at every few epochs, counted from the end, so that each curve's end has one."""
    return list(range(n - 1, -1, -every))[::-1]


def _floor(data: pd.DataFrame) -> float:
    """Show the last ten points below the worst end: where curves part; the data beside it has all."""
    ends = [100 * own["acc"].iloc[-1] for _, own in data.groupby("strategy")]
    return float(max(0, np.floor(min(ends) - SHOWN_POINTS)))


def _ends(axes: Axes, top: Axes, data: pd.DataFrame, baseline: str, look_of: Mapping[str, Look]) -> None:
    """Per strategy an arrow from the baseline's end to its own, with the change of total time."""
    last = data.groupby("strategy", sort=False).last()
    ends = {
        str(name): {key: float(value) for key, value in row.items() if key in ENDS} for name, row in last.iterrows()
    }
    start = ends.get(baseline, ends[max(ends, key=lambda name: ends[name]["seconds"])])["seconds"]
    far = float(data["seconds_max"].max())
    for row, (strategy, end) in enumerate(ends.items()):
        look, at = look_of[strategy], end["seconds"]
        leader: Any = {"color": look.color, "lw": 0.5, "ls": (0, (1, 2))}
        axes.plot([at, at], [-1, row], **leader)
        top.plot([at, at], [0, 100 * end["acc"]], **leader)
        spread = [end["seconds_min"], end["seconds_max"]]
        axes.plot(spread, [row, row], color=look.color, lw=3, alpha=0.35, solid_capstyle="butt")
        if strategy != baseline:
            arrow = {"arrowstyle": "->", "color": look.color, "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (at, row), (start, row), arrowprops=arrow)
        axes.plot(at, row, marker=look.marker, color=look.color, ms=4)
        change = "" if math.isnan(end["time_diff"]) else f"  {100 * end['time_diff']:+.1f} %"
        label = f"{strategy}{change}"
        left, right = min(start, end["seconds_min"]) - 0.015 * far, max(start, end["seconds_max"]) + 0.015 * far
        fits = right + len(label) * CHARACTER * WIDTH * far < WIDTH * far
        at, side = (right, "left") if fits or right < WIDTH * far - left else (left, "right")
        axes.text(at, row, label, color=_dark(look), ha=side, va="center", fontsize=7, bbox=ON_WHITE)
    axes.set_ylim(len(ends) - 0.4, -0.6)
    axes.set_xlim(0, far * WIDTH)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("total time", fontsize=7)


def _dark(look: Look) -> str:
    return "#444444" if look.color == "#7f7f7f" else look.color
