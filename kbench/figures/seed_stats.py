"""Statistics over seeds for figures, of the runs that the table counts: those with a matched run of the baseline."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from kbench.analysis.curve import curves
from kbench.analysis.frame import Frames, last_phase
from kbench.analysis.rows import Comparison
from kbench.figures.style import Look
from kbench.records.schema import on_axis

GROUP_KEYS = ["pair", "strategy"]


def matched_runs(frames: Frames, comparison: Comparison, *, timed: bool = False) -> pd.DataFrame:
    """The rows of runs.parquet that the table counts, in its order; ``timed``: whose times it counts."""
    done = frames.done
    if timed:
        done = done[~done["run_id"].isin(frames.untimed)]
    base = done.loc[done["strategy"] == comparison.baseline, "match_key"]
    return in_order(done[done["match_key"].isin(base)], comparison)


def last_epochs(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Rows of epochs.parquet of those runs' last phases, epoch by epoch."""
    runs = matched_runs(frames, comparison)
    epochs = frames.epochs[frames.epochs["run_id"].isin(runs["run_id"])]
    return in_order(last_phase(epochs).sort_values("epoch", kind="stable"), comparison)


def points(frames: Frames, comparison: Comparison, *, timed: bool = False) -> pd.DataFrame:
    """A row per matched run and epoch of its curve: ``pair strategy seed match_key epoch seconds acc``.

    ``timed``: of the runs whose times the table counts.
    """
    found = [curve for curve in curves(frames) if curve.is_timed or not timed]
    base = {c.match_key for c in found if c.strategy == comparison.baseline}
    matched = [c for c in found if c.match_key in base]
    lengths = [len(c.accuracy) for c in matched]
    table = {
        name: np.repeat([getattr(c, name) for c in matched], lengths) for name in (*GROUP_KEYS, "seed", "match_key")
    }
    table["epoch"] = np.concatenate([np.arange(n) for n in lengths]) if matched else np.array([])
    table["seconds"] = np.concatenate([c.seconds for c in matched]).astype(float) if matched else np.array([])
    table["acc"] = np.concatenate([c.accuracy for c in matched]).astype(float) if matched else np.array([])
    return in_order(pd.DataFrame(table), comparison)


def in_order(rows: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """The rows of pairs and strategies that the table has, in its order."""
    order = pd.DataFrame([(row.pair, row.strategy) for row in comparison.rows], columns=GROUP_KEYS)
    place = (
        rows[GROUP_KEYS]
        .merge(order.assign(place=range(len(order))), on=GROUP_KEYS, how="left")["place"]
        .to_numpy(dtype=float)
    )
    return rows.iloc[np.argsort(place, kind="stable")[: np.isfinite(place).sum()]]  # NaN comes last


def metric_of(frames: Frames, pair: str) -> str:
    """What the accuracies of a pair are, in words for an axis."""
    named = frames.runs.loc[frames.runs["pair"] == pair, "metric"].dropna().unique()
    return on_axis(str(named[0]) if len(named) == 1 else None)


def over_seeds(
    rows: pd.DataFrame, columns: Sequence[str], *, by: str = "epoch", geometric: Sequence[str] = ()
) -> pd.DataFrame:
    """Per pair, strategy and ``by`` the mean of each column, its ``_min`` and ``_max``, and how many ``seeds``.

    The mean of the ``geometric`` columns is the geometric one, as the table's of times is.

    A group in which a seed of the strategy has no value in any of the columns is left out.
    """
    runs = rows.groupby(GROUP_KEYS, sort=False)["match_key"].nunique().rename("runs")
    groups = rows.dropna(subset=list(columns)).groupby([*GROUP_KEYS, by], sort=False)
    found = groups["match_key"].nunique().rename("seeds").to_frame()
    for column in columns:
        found[column] = groups[column].mean()
        found[f"{column}_min"] = groups[column].min()
        found[f"{column}_max"] = groups[column].max()
        if column in geometric:
            logs = np.log(rows[column].where(rows[column] > 0)).groupby([rows[key] for key in (*GROUP_KEYS, by)])
            alike = found[f"{column}_min"] == found[f"{column}_max"]  # to the last digit, as one run is
            found[column] = found[f"{column}_min"].where(alike, np.exp(logs.mean()).reindex(found.index))
    whole = found.reset_index().merge(runs.reset_index(), on=GROUP_KEYS, how="left").query("seeds == runs")
    named = [f"{column}{end}" for column in columns for end in ("", "_min", "_max")]
    return whole[[*GROUP_KEYS, by, *named, "seeds"]].reset_index(drop=True)


def seeds_text(seeds: Iterable[int], shown: str = "mean and range") -> str:
    """What a panel shows of its seeds, for its title; ``seeds`` are the numbers of seeds of its lines."""
    numbers = sorted({int(n) for n in seeds})
    return "one seed" if numbers == [1] else f"{shown} of {'-'.join(map(str, numbers))} seeds"


def draw_band(
    axes: Axes, own: pd.DataFrame, look: Look, *, x: str, y: str, scale: float = 100, steps: bool = False
) -> None:
    """Draw the mean of a strategy with markers at every few epochs, the range over seeds behind it."""
    at = own[x].to_numpy(dtype=float)
    low, mean, high = (scale * own[f"{y}{end}"].to_numpy(dtype=float) for end in ("_min", "", "_max"))
    axes.fill_between(at, low, high, color=look.color, alpha=0.13, lw=0, step="mid" if steps else None)
    marks = marks_of(len(own), max(1, len(own) // 8))
    (line,) = axes.plot(at, mean, color=look.color, ls=look.dash, markevery=marks, **look.marker_keywords)
    line.set_label(str(own["strategy"].iloc[0]))
    line.set_drawstyle("steps-mid" if steps else "default")


def marks_of(n: int, every: int) -> list[int]:
    """Markers at every few epochs, counted from the end, so that each curve's end has one."""
    return list(range(n - 1, -1, -every))[::-1]
