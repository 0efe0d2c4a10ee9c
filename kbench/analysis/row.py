"""One row: a strategy's runs and, beside each, its baseline's."""

import math

import pandas as pd

from kbench.analysis.ceiling import time_ceiling
from kbench.analysis.interval import UNKNOWN, Estimate, deviation, estimate, estimate_change, mean_of
from kbench.analysis.pairing import PARTS, pair_of, sums
from kbench.analysis.rows import Part, Reach, Row


def row_of(runs: pd.DataFrame, targets: tuple[Reach, ...], *, is_baseline: bool) -> Row:
    """The row of ``runs``, paired as ``pairing.paired`` does, all of one pair and one strategy."""
    best, final, time = UNKNOWN, UNKNOWN, UNKNOWN
    if not is_baseline:
        best, final = difference(runs, "best_acc1", resampled=True), difference(runs, "final_acc1")
        time = change(runs, "total_train_s", resampled=True)
    told = {name: runs[name].tolist() for name in ("best_acc1", "final_acc1", "total_train_s")}
    return Row(
        pair=str(runs["pair"].iloc[0]),
        strategy=str(runs["strategy"].iloc[0]),
        seeds=len(runs),
        metric=metric_of(runs),
        upstream=_upstream(runs),
        acc_best=mean_of(told["best_acc1"]),
        acc_best_sd=deviation(told["best_acc1"]),
        acc_final=mean_of(told["final_acc1"]),
        acc_final_sd=deviation(told["final_acc1"]),
        acc_diff=best.mean,
        acc_diff_ci=best.ci,
        acc_diff_range=best.range,
        acc_diff_bca=best.bca,
        acc_diff_p=best.p,
        acc_final_diff=final.mean,
        acc_final_diff_ci=final.ci,
        acc_final_diff_range=final.range,
        train_s=mean_of(told["total_train_s"]),
        train_s_sd=deviation(told["total_train_s"]),
        time_diff=time.mean,
        time_diff_ci=time.ci,
        time_diff_range=time.range,
        time_diff_bca=time.bca,
        time_diff_p=time.p,
        time_ceiling=None if is_baseline else time_ceiling(sums(runs), sums(runs, "_base")),
        stage_s=mean_of(runs["stage_s"].tolist()),
        total_s=mean_of(runs["total_s"].tolist()),
        ci_method="student-t" if best.ci or final.ci or time.ci else None,
        targets=targets,
        n_trained=_count(runs, "n_trained"),
        n_scored=_count(runs, "n_scored"),
        n_refreshed=_count(runs, "n_refreshed"),
        hidden_mean=mean_of(runs["hidden_mean"].tolist()),
        hidden_ceiling=mean_of(runs["ceiling"].tolist()),
        time_parts=_parts(runs),
    )


def difference(runs: pd.DataFrame, column: str, *, resampled: bool = False) -> Estimate:
    """The run's value less its baseline's, over seeds."""
    return estimate((runs[column] - runs[f"{column}_base"]).tolist(), resampled=resampled)


def change(runs: pd.DataFrame, column: str, *, resampled: bool = False) -> Estimate:
    """The run's value over its baseline's, less one, over seeds."""
    return estimate_change((runs[column] / runs[f"{column}_base"]).tolist(), resampled=resampled)


def metric_of(runs: pd.DataFrame) -> str | None:
    """What the accuracies of the runs are, if it is one thing."""
    named = runs["metric"].dropna().unique()
    return str(named[0]) if len(named) == 1 else None


def _upstream(runs: pd.DataFrame) -> str | None:
    """The pair whose weights the runs began with: a run's name begins with its pair's."""
    named = runs["upstream"].dropna()
    return None if named.empty else pair_of(str(named.iloc[0]))


def _count(runs: pd.DataFrame, column: str) -> int | None:
    mean = mean_of(runs[column].tolist())
    return None if mean is None else round(mean)


def _parts(runs: pd.DataFrame) -> dict[str, Part]:
    """The parts of the training time with their shares of it, then what is not on that clock, and all of it."""
    total = float(runs["total_train_s"].sum(skipna=False))
    found = {}
    for part in PARTS:
        spent = runs[f"{part}_s"]
        share = float(spent.sum(skipna=False)) / total if total > 0 else math.nan
        found[part] = Part(mean_of(spent.tolist()), None if math.isnan(share) else share)
    for part in ("beside", "eval", "stage", "total"):
        found[part] = Part(mean_of(runs[f"{part}_s"].tolist()))
    return found
