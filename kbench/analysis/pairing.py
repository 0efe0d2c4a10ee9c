"""Pairing: each run beside the baseline's run that it differs from in nothing but the strategy."""

from collections.abc import Mapping

import pandas as pd

from kbench.analysis.frame import Frames, last_phase
from kbench.records.schema import TIME_PARTS

TIMES = tuple(part.column for part in TIME_PARTS)
COUNTS = ("n_trained", "n_scored", "n_refreshed")
TEXTS = ("run_id", "seed", "upstream", "metric", "block", "imported_from")
TIME_COLUMNS = ("total_train_s", "stage_s", "total_s", "cpu_s", *TIMES)  # not known of runs that were disturbed
NUMBERS = (
    *("best_acc1", "final_acc1", "final_acc_worst", "noise", "total_train_s", "stage_s", "total_s"),
    *("hidden_mean", "place", *COUNTS),
)
KEYS = ["pair", "match_key"]


def pair_runs(frames: Frames, baseline: str) -> pd.DataFrame:
    """Pair each run that is done with its baseline's: a row per matched run, sorted by seed.

    Returns:
        The columns of ``TEXTS`` and ``NUMBERS``, the sums over all epochs of ``TIMES`` and of ``cpu_s`` where it
        trained on CPUs, ``ceiling``, the mean share that the strategy allowed itself to hide in the last phase, and
        ``is_timed``, whether its times count; the baseline's end in ``_base``.  NaN is not known.
    """
    return pair_with(comparable_runs(frames), baseline)


def pair_with(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """``pair_runs`` of what ``comparable_runs`` gave."""
    base = runs[runs["strategy"] == baseline].drop(columns="strategy")
    matched = runs.merge(base, on=KEYS, suffixes=("", "_base"))
    return matched.sort_values(["seed", "match_key"], kind="stable")


def comparable_runs(frames: Frames) -> pd.DataFrame:
    """The runs that are done and can be matched, each once, with the sums over their epochs."""
    done = frames.done.dropna(subset=KEYS).drop_duplicates(["pair", "strategy", "match_key"])
    runs = done[[*KEYS, "strategy", *TEXTS, *NUMBERS]].astype(dict.fromkeys(NUMBERS, "float64"))
    on_cpu = set(done.loc[(done["n_devices"] == 0).fillna(False).astype(bool), "run_id"])
    runs = with_shared_staging(runs).assign(is_timed=~runs["run_id"].isin(frames.untimed))
    epochs = frames.epochs[frames.epochs["run_id"].isin(runs["run_id"])]
    runs = runs.merge(_sums_of_epochs(epochs), on="run_id", how="left")
    runs["cpu_s"] = runs["cpu_s"].where(runs["run_id"].isin(on_cpu))
    columns = list(TIME_COLUMNS)
    runs[columns] = runs[columns].where(runs["is_timed"])  # nobody can take them by mistake
    return runs


def timed(matched: pd.DataFrame) -> pd.DataFrame:
    """The paired runs whose times are compared: neither the run nor its baseline's was disturbed."""
    return matched[matched["is_timed"] & matched["is_timed_base"]]


def pair_of(run_id: str) -> str:
    """The pair of a run: its name begins with it, and no pair's name has a dot."""
    return run_id.partition(".")[0]


def differences(matched: pd.DataFrame, column: str) -> list[float]:
    """The run's value less its baseline's, by seed."""
    found: list[float] = (matched[column] - matched[f"{column}_base"]).tolist()
    return found


def ratios(matched: pd.DataFrame, column: str) -> list[float]:
    """The run's value over its baseline's, by seed."""
    found: list[float] = (matched[column] / matched[f"{column}_base"]).tolist()
    return found


def metric_of(runs: pd.DataFrame) -> str | None:
    """What the accuracies of the runs are, if it is one thing."""
    metrics = runs["metric"].dropna().unique()
    return str(metrics[0]) if len(metrics) == 1 else None


def staging_seconds(runs: pd.DataFrame) -> "pd.Series[float]":
    """The seconds [s] that copying data took, shared by the measured runs of a pair.

    The first run on a node copies for all that come after it, whatever its strategy: each bears the mean.  Of what
    was imported it is known which run copied.
    """
    stage_s, measured = runs["stage_s"].astype("float64"), runs["imported_from"].isna()
    of_pair = stage_s.where(measured).groupby(runs["pair"])
    shared = of_pair.transform("sum") / measured.groupby(runs["pair"]).transform("sum")
    shares = shared.where(measured & (of_pair.transform("count") > 0), stage_s)
    own = stage_s.groupby([runs["pair"], runs["strategy"]]).transform("count") > 0
    return shares.mask(shares.isna() & own & runs["total_s"].notna(), 0.0)


def with_shared_staging(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with ``stage_s`` as ``staging_seconds`` shares it, and ``total_s`` with that."""
    shares, own = staging_seconds(runs), runs["stage_s"].astype("float64").fillna(0.0)
    return runs.assign(stage_s=shares, total_s=runs["total_s"].astype("float64") - own + shares.fillna(0.0))


def _sums_of_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """The sums of each run; NaN where an epoch's value is not known."""
    values = epochs[[*TIMES, "cpu_s"]].astype("float64")
    grouped = values.groupby(epochs["run_id"])
    known = values.notna().groupby(epochs["run_id"]).all()
    last = last_phase(epochs)
    ceiling = last["ceiling"].astype("float64").groupby(last["run_id"]).mean()
    return grouped.sum().where(known).assign(ceiling=ceiling).reset_index()


def sums(runs: pd.DataFrame, suffix: str = "") -> Mapping[str, float]:
    """What ``ideal_time_change`` needs, over paired runs; ``suffix`` is ``_base`` for the baseline's."""
    columns = {"train_s": "total_train_s", "forward_s": "forward_s", "select_s": "select_s", "refresh_s": "refresh_s"}
    columns |= {name: name for name in COUNTS}
    return {name: float(runs[column + suffix].sum(skipna=False)) for name, column in columns.items()}
