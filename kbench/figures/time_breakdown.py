"""Where the time went: the parts of each strategy's training, and beside them what is off the clock."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kbench.analysis.frame import Frames
from kbench.analysis.pairing import staged
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.layout import SIZES, View, drawing, key, sheet, titled
from kbench.figures.seed_stats import WHO, in_order, matched_runs
from kbench.figures.style import FAINT


class Part(NamedTuple):
    """How a part of the time is drawn, and called."""

    label: str
    color: str
    hatch: str = ""
    edge: str = "white"  # the hatch has its colour


BROWN, GREY = "#8a4b00", "#808080"
# What any training pays for is blue, what selection adds is orange: each from light to dark, told apart in grey.
ON_CLOCK = {
    "data_s": Part("data", "#c6dbef"),
    "forward_s": Part("forward", "#85b6da"),
    "backward_s": Part("backward", "#3a85bf"),
    "update_s": Part("update", "#0b3d77"),
    "plan_s": Part("plan", "#fff0dc", "....", BROWN),
    "select_s": Part("select", "#f7a654", "////", BROWN),
    "refresh_s": Part("refresh", "#d55e00", "\\\\\\\\"),
    "sync_s": Part("synchronise", "#6e2f00", "...."),
    "rest_s": Part("not told apart", "#a0a0a0"),
}
OFF_CLOCK = {
    "eval_s": Part("evaluation (off the clock)", "none", "////", GREY),
    "stage_s": Part("staging (off the clock)", "none", "xxxx", GREY),
    "background_s": Part("beside training (off the clock)", "none", "....", GREY),
}
VISIBLE = 0.002  # of the longest part: who is shorter everywhere needs no entry in the key
ROUNDING = 0.02  # of the training time, by which its parts may miss it


def time_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per pair, strategy and part: mean ``seconds`` per run over seeds, all phases together; ``train_s`` of them.

    ``on_clock`` says whether a part is training time.  Where the parts of a log do not add up to its
    training time, the rest is a part of its own.  Raises ResultsError when no time is known.
    """
    runs = matched_runs(frames, comparison)
    epochs = frames.epochs[frames.epochs["run_id"].isin(runs["run_id"])]
    parts = [part for part in [*ON_CLOCK, *OFF_CLOCK] if part in epochs]
    sums = epochs.groupby("run_id")[parts].sum(min_count=1).astype(float)
    sums["train_s"] = epochs.groupby("run_id")["train_s"].agg(lambda s: s.sum(skipna=False)).astype(float)
    runs = runs[[*WHO, "run_id"]].assign(stage_s=staged(runs))
    sums = runs.merge(sums.reset_index(), on="run_id", how="left")
    sums = sums[sums.groupby(WHO)["train_s"].transform(lambda s: s.notna().all()).astype(bool)]
    if sums.empty:
        raise ResultsError(
            f"{frames.name}: no strategy has the training time of all its runs, so there is nothing to divide",
            hint="kbench plot --kind epochs needs no times",
        )
    rest = sums["train_s"] - sums[[part for part in ON_CLOCK if part in sums]].sum(axis=1)
    sums["rest_s"] = rest.where(rest > ROUNDING * sums["train_s"], 0.0)
    return in_order(_long(sums), comparison)


def _long(sums: pd.DataFrame) -> pd.DataFrame:
    """A row per part.  One that a run does not tell is in the rest of that run, and nothing here."""
    groups = sums.groupby(WHO, sort=False)
    means = groups[[*ON_CLOCK]].sum(min_count=1).div(groups.size(), axis=0).join(groups[[*OFF_CLOCK, "train_s"]].mean())
    means = means.assign(seeds=groups.size()).reset_index()
    parts = [*ON_CLOCK, *OFF_CLOCK]
    long = means.melt(id_vars=[*WHO, "seeds", "train_s"], value_vars=parts, var_name="part", value_name="seconds")
    return long.assign(on_clock=long["part"].isin(ON_CLOCK))


@drawing
def draw_time(data: pd.DataFrame, view: View) -> Figure:
    """A panel per pair, a bar per strategy; what is off the clock is a hollow bar below it."""
    most = int(data.groupby("pair")["strategy"].nunique().max())
    size = SIZES[view.size]
    high = (2.2 * most + 6) * size.font_pt / 72
    page = sheet(data["pair"].nunique(), view, height=high / size.panel_in[1])
    for axes, pair in zip(page.panels, data["pair"].unique(), strict=True):
        own = data[data["pair"] == pair]
        _draw_bars(axes, own, view)
        seeds = sorted({int(n) for n in own["seeds"]})
        over = "one seed" if seeds == [1] else f"mean of {'-'.join(map(str, seeds))} seeds"
        titled(axes, f"{pair}: {over}", page.panel_in)
        axes.set_xlabel("time per run [s], all phases")
    shown = set(data.loc[data["seconds"] > VISIBLE * data["seconds"].max(), "part"])
    key(page.figure, [_patch(part) for name, part in (ON_CLOCK | OFF_CLOCK).items() if name in shown])
    return page.figure


def _draw_bars(axes: Axes, data: pd.DataFrame, view: View) -> None:
    table = data.pivot_table(index="strategy", columns="part", values="seconds", sort=False, dropna=False).fillna(0.0)
    rows = np.arange(len(table))
    ends = _stack(axes, table, ON_CLOCK, rows - 0.1, height=0.5)
    beside = _stack(axes, table, OFF_CLOCK, rows + 0.29, height=0.2)
    far = max(ends.max(), beside.max())
    totals = data.groupby("strategy", sort=False)["train_s"].first()
    digits = next((n for n, most in ((3, 1), (2, 10), (1, 100)) if totals.max() < most), 0)
    font = SIZES[view.size].font_pt - 1
    for row, end, total in zip(rows, ends, totals, strict=True):
        axes.annotate(f"{total:,.{digits}f} s", (end, row - 0.1), (3, 0), textcoords="offset points", va="center",
                      fontsize=font)  # fmt: skip
    axes.set_yticks(rows, [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.45, -0.55)
    axes.set_xlim(0, max(far, ends.max() * 1.18))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", **FAINT)
    axes.set_axisbelow(True)


def _stack(axes: Axes, table: pd.DataFrame, parts: Mapping[str, Part], at: np.ndarray, *, height: float) -> np.ndarray:
    """Bars of several parts, each beginning where the last ended; returns where they end [s]."""
    ends = np.zeros(len(table))
    for name, part in parts.items():
        axes.barh(at, table[name], left=ends, height=height, label=name, **_fill(part))
        ends = ends + table[name].to_numpy()
    return ends


def _fill(part: Part) -> dict[str, Any]:
    return {"facecolor": part.color, "edgecolor": part.edge, "hatch": part.hatch, "lw": 0.4}


def _patch(part: Part) -> Artist:
    return Patch(label=part.label, **_fill(part))
