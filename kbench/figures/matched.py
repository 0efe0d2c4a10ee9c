"""The runs that figures show: those that the table counts, which a matched run of the baseline stands beside."""

import numpy as np
import pandas as pd

from kbench.analysis.curve import curves
from kbench.analysis.frame import Frames, last_phase
from kbench.analysis.rows import Comparison
from kbench.records.metric import on_axis

WHO = ["pair", "strategy"]


def matched_runs(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Rows of runs.parquet, in the order of the table."""
    done = frames.done
    base = done.loc[done["strategy"] == comparison.baseline, "match_key"]
    return in_order(done[done["match_key"].isin(base)], comparison)


def last_epochs(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Rows of epochs.parquet of those runs' last phases, epoch by epoch."""
    runs = matched_runs(frames, comparison)
    epochs = frames.epochs[frames.epochs["run_id"].isin(runs["run_id"])]
    return in_order(last_phase(epochs).sort_values("epoch", kind="stable"), comparison)


def points(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """A row per matched run and epoch of its curve: ``pair strategy seed match_key epoch seconds acc``."""
    every = list(curves(frames))
    base = {c.match_key for c in every if c.strategy == comparison.baseline}
    kept = [c for c in every if c.match_key in base]
    lengths = [len(c.accuracy) for c in kept]
    table = {name: np.repeat([getattr(c, name) for c in kept], lengths) for name in (*WHO, "seed", "match_key")}
    table["epoch"] = np.concatenate([np.arange(n) for n in lengths]) if kept else np.array([])
    table["seconds"] = np.concatenate([c.seconds for c in kept]).astype(float) if kept else np.array([])
    table["acc"] = np.concatenate([c.accuracy for c in kept]).astype(float) if kept else np.array([])
    return in_order(pd.DataFrame(table), comparison)


def in_order(rows: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """The rows of pairs and strategies that the table has, in its order."""
    order = pd.DataFrame([(row.pair, row.strategy) for row in comparison.rows], columns=WHO)
    place = rows[WHO].merge(order.assign(place=range(len(order))), on=WHO, how="left")["place"].to_numpy(dtype=float)
    return rows.iloc[np.argsort(place, kind="stable")[: np.isfinite(place).sum()]]  # NaN comes last


def metric_of(frames: Frames, pair: str) -> str:
    """What the accuracies of a pair are, in words for an axis."""
    named = frames.runs.loc[frames.runs["pair"] == pair, "metric"].dropna().unique()
    return on_axis(str(named[0]) if len(named) == 1 else None)
