"""Speed-up over the baseline for every target accuracy: the choice of one target decides the winner."""

import math

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.curves import SHOWN_POINTS
from kbench.figures.layout import Options, add_legend, lay_out, legend_line, set_title, with_settings
from kbench.figures.registry import FigureKind
from kbench.figures.seed_stats import GROUP_KEYS, draw_band, metric_of, points, seeds_text
from kbench.figures.style import FAINT

STEP = 0.0005  # [fraction] between two targets
TICKS = {  # by how many times the highest is above the lowest
    2: tuple(tenths / 10 for tenths in range(1, 30)),
    6: (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2, 3, 5, 7, 10),
    math.inf: (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100),
}
STOPS = {"strategy": ("X", "a seed goes no further"), "baseline": ("^", "the baseline goes no further")}


def speedup_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per pair, strategy and target [fraction]: the baseline's time to reach it first, over the strategy's.

    The geometric mean over seeds, paired, and their range; null where not every seed of both got there: nothing is
    extrapolated.  ``reached`` and ``base_reached`` are how many of the ``seeds`` did.  Raises ResultsError when
    no time is known, or only the baseline was run.
    """
    rows = points(frames, comparison, timed=True)
    runs = rows.groupby([*GROUP_KEYS, "match_key"])
    rows = rows[
        runs["seconds"].transform("count").eq(runs["seconds"].transform("size")) & runs["acc"].transform("count").gt(0)
    ]
    parts = [_of_pair(own, comparison.baseline) for _, own in rows.groupby("pair", sort=False)]
    parts = [part for part in parts if not part.empty]
    if not parts:
        raise ResultsError(
            f"{frames.name}: there is no strategy with known times beside {comparison.baseline}, so no speed-up",
            hint="kbench plot --kind epochs needs no times",
        )
    data = pd.concat(parts, ignore_index=True)
    data["metric"] = data["pair"].map({pair: metric_of(frames, pair) for pair in data["pair"].unique()})
    return data


def _of_pair(rows: pd.DataFrame, baseline: str) -> pd.DataFrame:
    ends = rows.groupby(["strategy", "seed"])["acc"].last().groupby("strategy").mean()
    low = max(0.0, float(ends.min()) - SHOWN_POINTS / 100)
    targets = np.arange(np.ceil(low / STEP), np.floor(rows["acc"].max() / STEP + 1e-6) + 1) * STEP
    targets = targets.round(6)  # 0.95, not 0.9500000000000001
    times = {
        (str(strategy), str(match)): _first_times(own, targets)
        for (strategy, match), own in rows.groupby(["strategy", "match_key"], sort=False)
    }
    found = [
        _of_strategy(rows, strategy, targets, [(times[baseline, m], t) for (s, m), t in times.items()
                     if s == strategy and (baseline, m) in times])
        for strategy in rows["strategy"].unique() if strategy != baseline
    ]  # fmt: skip
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _first_times(run: pd.DataFrame, targets: np.ndarray) -> np.ndarray:
    """When a run's best so far first was at or above each target [s]; infinite where it never was."""
    best = np.maximum.accumulate(np.nan_to_num(run["acc"].to_numpy(dtype=float), nan=-np.inf))
    return np.append(run["seconds"].to_numpy(dtype=float), np.inf)[np.searchsorted(best, targets, side="left")]


def _of_strategy(
    rows: pd.DataFrame, strategy: str, targets: np.ndarray, paired: list[tuple[np.ndarray, np.ndarray]]
) -> pd.DataFrame:
    """``paired``: times of the baseline and of the strategy to each target, seed by seed."""
    if not paired:
        return pd.DataFrame()
    base, own = np.array([b for b, _ in paired]), np.array([t for _, t in paired])
    all_there = np.isfinite(base).all(axis=0) & np.isfinite(own).all(axis=0)
    with np.errstate(invalid="ignore"):
        logs = np.where(all_there, np.log(base) - np.log(own), np.nan)
    return pd.DataFrame(
        {
            "pair": rows["pair"].iloc[0],
            "strategy": strategy,
            "target": targets,
            "speedup": np.exp(logs.mean(axis=0)),
            "speedup_min": np.exp(logs.min(axis=0)),
            "speedup_max": np.exp(logs.max(axis=0)),
            "reached": np.isfinite(own).sum(axis=0),
            "base_reached": np.isfinite(base).sum(axis=0),
            "seeds": len(paired),
        }
    )


@with_settings
def draw_speedup(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per pair; a line ends where a seed of its strategy, or of the baseline, gets no further."""
    layout = lay_out(data["pair"].nunique(), options)
    stops: set[str] = set()
    for axes, pair in zip(layout.panels, data["pair"].unique(), strict=True):
        own = data[data["pair"] == pair]
        axes.axhline(1, color=options.looks[options.baseline].color, lw=0.8)
        for strategy in own["strategy"].unique():
            rows = own[own["strategy"] == strategy]
            known = rows.dropna(subset="speedup")
            if known.empty:
                continue
            look = options.looks[strategy]
            draw_band(axes, known.assign(at=100 * known["target"]), look, x="at", y="speedup", scale=1)
            stops |= _draw_stop(axes, rows, known, look.color)
        set_title(axes, f"{pair}: {seeds_text(own['seeds'])}", layout.panel_in)
        _scale(axes, own)
    shown = set(data.dropna(subset="speedup")["strategy"])
    entries: list[Artist] = [legend_line(name, look) for name, look in options.looks.items() if name in shown]
    entries.append(Line2D([], [], color=options.looks[options.baseline].color, lw=0.8, label=options.baseline))
    marks = [(marker, label) for stop, (marker, label) in STOPS.items() if stop in stops]
    entries += [Line2D([], [], color="#808080", ls="", marker=marker, ms=5, label=label) for marker, label in marks]
    add_legend(layout.figure, entries)
    return layout.figure


def _draw_stop(axes: Axes, rows: pd.DataFrame, known: pd.DataFrame, color: str) -> set[str]:
    """A mark where a line ends before the last target, that says whose seed stopped first."""
    after = rows[rows["target"] > known["target"].iloc[-1]]
    if after.empty:
        return set()
    stop = "strategy" if after["reached"].iloc[0] < after["seeds"].iloc[0] else "baseline"
    end = known.iloc[-1]
    axes.plot(100 * end["target"], end["speedup"], color=color, marker=STOPS[stop][0], ms=5, ls="", label="_stop")
    return {stop}


def _scale(axes: Axes, own: pd.DataFrame) -> None:
    axes.set_yscale("log")
    low, high = np.nanmin([own["speedup_min"].min(), 0.9]), np.nanmax([own["speedup_max"].max(), 1.1])
    axes.set_ylim(low / 1.08, high * 1.08)
    axes.yaxis.set_major_locator(FixedLocator(next(ticks for most, ticks in TICKS.items() if high / low <= most)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_xlim(100 * own["target"].min(), 100 * own["target"].max() + 0.2)
    axes.set_xlabel(f"target: {own['metric'].iloc[0]} [%]")
    axes.set_ylabel("speed-up over the baseline")
    axes.grid(axis="y", **FAINT)


SPEEDUP = FigureKind(
    "speed-up over the baseline for every target accuracy", speedup_data, draw_speedup, shows_times=True
)
