"""Each run beside the baseline's run that it differs from in nothing but the strategy."""

from collections.abc import Mapping

import pandas as pd

from kbench.analysis.frame import Frames, last_phase

PARTS = ("plan", "data", "forward", "backward", "update", "select", "refresh", "sync")  # of train_s
COUNTS = ("n_trained", "n_scored", "n_refreshed")
OF_EPOCHS = tuple(f"{part}_s" for part in (*PARTS, "background", "eval"))
WORDS = ("run_id", "seed", "upstream", "metric")
NUMBERS = ("best_acc1", "final_acc1", "total_train_s", "stage_s", "total_s", "hidden_mean", *COUNTS)
KEYS = ["pair", "match_key"]


def paired(frames: Frames, baseline: str) -> pd.DataFrame:
    """One row per matched run that is done, sorted by seed; the baseline's columns end in ``_base``.

    The columns of ``WORDS`` and ``NUMBERS``, the sums over all epochs of ``OF_EPOCHS``, and ``ceiling``, the
    mean share that the strategy allowed itself to hide in the last phase.  NaN is not known.
    """
    runs = told(frames)
    base = runs[runs["strategy"] == baseline].drop(columns="strategy")
    both = runs.merge(base, on=KEYS, suffixes=("", "_base"))
    return both.sort_values(["seed", "match_key"], kind="stable")


def told(frames: Frames) -> pd.DataFrame:
    """The runs that are done and can be matched, each once, with the sums over their epochs."""
    done = frames.done.dropna(subset=KEYS).drop_duplicates(["pair", "strategy", "match_key"])
    runs = done[[*KEYS, "strategy", *WORDS, *NUMBERS]].astype(dict.fromkeys(NUMBERS, "float64"))
    runs = runs.assign(stage_s=staged(runs))
    epochs = frames.epochs[frames.epochs["run_id"].isin(runs["run_id"])]
    return runs.merge(_sums(epochs), on="run_id", how="left")


def pair_of(run_id: str) -> str:
    """The pair of a run: its name begins with it, and no pair's name has a dot."""
    return run_id.partition(".")[0]


def staged(runs: pd.DataFrame) -> "pd.Series[float]":
    """The seconds that copying data took [s]: none in a run of ours where other seeds of its strategy staged."""
    told = runs["stage_s"].astype("float64")
    others = told.groupby([runs["pair"], runs["strategy"]]).transform("count") > 0
    return told.mask(told.isna() & others & runs["total_s"].notna(), 0.0)


def _sums(epochs: pd.DataFrame) -> pd.DataFrame:
    """The sums of each run; NaN where an epoch's value is not known."""
    values = epochs[list(OF_EPOCHS)].astype("float64")
    grouped = values.groupby(epochs["run_id"])
    known = values.notna().groupby(epochs["run_id"]).all()
    shares = last_phase(epochs)
    ceiling = shares["ceiling"].astype("float64").groupby(shares["run_id"]).mean()
    return grouped.sum().where(known).assign(ceiling=ceiling).reset_index()


def sums(runs: pd.DataFrame, suffix: str = "") -> Mapping[str, float]:
    """What ``time_ceiling`` wants, over paired runs; ``suffix`` is ``_base`` for the baseline's."""
    wanted = {"train_s": "total_train_s", "forward_s": "forward_s", "select_s": "select_s", "refresh_s": "refresh_s"}
    wanted |= {name: name for name in COUNTS}
    return {name: float(runs[column + suffix].sum(skipna=False)) for name, column in wanted.items()}
