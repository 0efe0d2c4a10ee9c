"""Error against cost, with the Pareto front: strategies that none beats in both."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from kbench.analysis.frame import Frames
from kbench.analysis.pairing import with_shared_staging
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.curves import CLOCKS
from kbench.figures.labels import place_labels
from kbench.figures.layout import Options, add_legend, lay_out, legend_line, set_title, with_settings
from kbench.figures.registry import FigureKind
from kbench.figures.seed_stats import GROUP_KEYS, matched_runs, metric_of, seeds_text
from kbench.figures.style import FAINT

WIDE = 5  # times the smallest error: the axis becomes logarithmic


class Cost(NamedTuple):
    """What an axis of costs is called, and what it is divided by."""

    label: str
    unit: float


COSTS = {
    "total_train_s": Cost(CLOCKS["train"], 1),
    "total_s": Cost(CLOCKS["total"], 1),
    "n_trained": Cost("samples trained on [thousand]", 1000),
}


def pareto_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per pair, cost and strategy a row per seed and one of their mean (``seed`` null).

    ``error`` is 1 - the final accuracy [fraction], as in the table; ``amount`` is the cost, [s] or samples, of the
    whole run; ``on_front``: no other mean is as good or better in both and better in one.  Raises ResultsError
    when no run has both an accuracy and a cost.
    """
    time = "total_s" if comparison.clock == "total" else "total_train_s"
    runs, timed = with_shared_staging(matched_runs(frames, comparison)), matched_runs(frames, comparison, timed=True)
    both = {time: runs[runs["run_id"].isin(timed["run_id"])], "n_trained": runs}
    parts = [_of_cost(runs.assign(error=1 - runs["final_acc1"].astype(float)), cost) for cost, runs in both.items()]
    data = pd.concat([part for part in parts if not part.empty] or [pd.DataFrame()], ignore_index=True)
    if data.empty:
        raise ResultsError(
            f"{frames.name}: no run has both an accuracy and a cost", hint="kbench plot --kind epochs needs no costs"
        )
    data["metric"] = data["pair"].map({pair: metric_of(frames, pair) for pair in data["pair"].unique()})
    return data


def _of_cost(runs: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Seeds and means of the strategies of which every seed is known."""
    own = runs[[*GROUP_KEYS, "seed", "error"]].assign(cost=cost, amount=runs[cost].astype(float).where(runs[cost] > 0))
    if own.empty:  # as where every run was disturbed
        return own
    own = own[
        own.groupby(GROUP_KEYS)[["error", "amount"]].transform(lambda s: s.notna().all()).astype(bool).all(axis=1)
    ]
    if own.empty:
        return own
    is_time = cost.endswith("_s")  # of which the table has geometric means
    by_seed = own.assign(amount=np.log(own["amount"])) if is_time else own
    means = by_seed.groupby([*GROUP_KEYS, "cost"], sort=False)[["error", "amount"]].mean().reset_index()
    if is_time:
        means["amount"] = np.exp(means["amount"]).round(9)
    means["on_front"] = False
    for _, pair in means.groupby("pair"):
        means.loc[_pareto_front(pair), "on_front"] = True
    return pd.concat([own, means])[[*GROUP_KEYS, "cost", "seed", "amount", "error", "on_front"]].astype(
        {"seed": "Int64"}
    )


def _pareto_front(means: pd.DataFrame) -> pd.Index:
    """From the cheapest on, each that is better than all that are cheaper."""
    ordered = means.sort_values(["amount", "error"])
    best = ordered["error"].cummin().shift()
    return ordered.index[best.isna() | (ordered["error"] < best)]


@with_settings
def draw_pareto(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per pair and cost: seeds faint, means marked, the front a line; names beside the marks where they fit."""
    panels = list(dict.fromkeys(zip(data["pair"], data["cost"], strict=True)))
    panels.sort(key=lambda panel: list(data["pair"].unique()).index(panel[0]))
    layout = lay_out(len(panels), options, columns=2 if len(panels) > 1 else 1, height=1.15)
    named = []
    for axes, (pair, cost) in zip(layout.panels, panels, strict=True):
        own = data[(data["pair"] == pair) & (data["cost"] == cost)]
        named.append(_draw(axes, own.assign(x=own["amount"] / COSTS[cost].unit, y=100 * own["error"]), options))
        seeds = own.dropna(subset="seed").groupby("strategy").size()
        set_title(axes, f"{pair}: {seeds_text(seeds, 'mean')}", layout.panel_in)
        axes.set_xlabel(COSTS[cost].label)
        axes.set_ylabel(error_label(str(own["metric"].iloc[0])))
    if not place_labels(layout.figure, list(zip(layout.panels, named, strict=True)), options):
        shown = set(data["strategy"])
        add_legend(
            layout.figure, [legend_line(name, look, ls="") for name, look in options.looks.items() if name in shown]
        )
    return layout.figure


def _draw(axes: Axes, own: pd.DataFrame, options: Options) -> dict[str, tuple[float, float]]:
    """Draw a panel; returns where the mean of each strategy lies."""
    means = own[own["seed"].isna()]
    best = means[means["on_front"]].sort_values("x")
    # Horizontal from each to the next, then down: what any mean left of or below the line would have to beat.
    axes.plot(
        np.repeat(best["x"], 2)[1:], np.repeat(best["y"], 2)[:-1], color="#808080", lw=0.8, label="_front", zorder=1
    )
    for strategy in means["strategy"]:
        look = options.looks[strategy]
        seeds = own[(own["strategy"] == strategy) & own["seed"].notna()]
        mean = means[means["strategy"] == strategy]
        axes.plot(seeds["x"], seeds["y"], ls="", color=look.color, alpha=0.5, ms=2.6, marker="o", mew=0, label="_seeds")
        axes.plot(mean["x"], mean["y"], ls="", color=look.color, ms=6, label=strategy, **look.marker_keywords)
    _scale(axes, own["y"])
    return {str(s): (float(x), float(y)) for s, x, y in zip(means["strategy"], means["x"], means["y"], strict=True)}


def _scale(axes: Axes, errors: "pd.Series[float]") -> None:
    """Errors that span a decade stand on a logarithmic axis, so that small ones can be told apart."""
    axes.margins(0.08)
    axes.grid(**FAINT)
    if 0 < errors.min() < errors.max() / WIDE:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))


def error_label(metric: str) -> str:
    """What is wrong where ``metric`` is right, after the last epoch."""
    name = metric.replace("accuracy", "error") if "accuracy" in metric else f"1 - {metric}"
    return f"{name} after the last epoch [%]"


PARETO = FigureKind("error against cost, with the Pareto front", pareto_data, draw_pareto, shows_times=True)
