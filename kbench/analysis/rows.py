"""What a comparison says: a row per strategy, and remarks."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from kbench.analysis.finding import Finding
from kbench.analysis.interval import UNKNOWN, Bounds, Estimate, deviation, estimate, estimate_change, mean_of
from kbench.analysis.pairing import PARTS, pair_of, sums


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How fast a target was reached.  A speed-up is the baseline's time over this one's, paired by seed."""

    asked: str  # as it was asked for: "0.76" or "final*1.1"
    target: float | None  # the accuracy that it means on this pair [fraction]
    reached: int | None  # of the seeds; None where no accuracy is on record
    seconds: float | None  # [s] mean over the seeds; None unless all reached it
    speedup: float | None  # geometric mean; None unless all runs of both reached it
    speedup_ci: Bounds
    speedup_range: Bounds = None
    speedup_at_least: float | None = None  # where all runs of this one reached it, and some of the baseline's did not
    speedup_median: float | None = None  # from six seeds on; a run that did not reach it counts as 0
    speedup_median_ci: tuple[float, float | None] | None = None  # 95 %, from ranks; None: no upper bound


@dataclass(frozen=True)
class Part:
    """Where time went: the mean of a run over all its phases."""

    seconds: float | None  # None: not known, or nothing of the kind happened
    share: float | None = None  # of the training time; None for what is not on that clock


@dataclass(frozen=True, kw_only=True)
class Row:
    """One strategy on one pair, over seeds.  Differences are paired by seed; None for the baseline.

    None also where it cannot be known: one seed has no interval, the logs of others not every column.
    ``*_ci`` is a 95 % interval by Student's t, from three seeds on; ``*_bca`` by bootstrap, from
    twenty on; ``*_range`` the smallest and largest of the seeds and no interval; ``*_p`` the p-value
    of the paired t test, ``*_p_holm`` the same adjusted for all strategies of the pair (Holm).
    """

    pair: str
    strategy: str
    seeds: int
    metric: str | None = None  # what the accuracies are: "top1", "mean_iou"; None: not known, or several
    upstream: str | None = None  # the pair whose weights its runs began with; None: fresh ones
    acc_best: float | None
    acc_best_sd: float | None
    acc_final: float | None
    acc_final_sd: float | None = None
    acc_diff: float | None  # of the best accuracies [fraction]
    acc_diff_ci: Bounds
    acc_diff_range: Bounds = None
    acc_diff_bca: Bounds = None
    acc_diff_p: float | None = None
    acc_diff_p_holm: float | None = None
    acc_final_diff: float | None
    acc_final_diff_ci: Bounds
    acc_final_diff_range: Bounds = None
    train_s: float | None
    train_s_sd: float | None = None
    time_diff: float | None  # change of training time [fraction], geometric mean
    time_diff_ci: Bounds
    time_diff_range: Bounds = None
    time_diff_bca: Bounds = None
    time_diff_p: float | None = None
    time_diff_p_holm: float | None = None
    time_ceiling: float | None
    stage_s: float | None = None  # [s] copying data to the node; None: nothing was staged, or not known
    total_s: float | None = None  # [s] training, evaluation and staging
    ci_method: str | None = None  # "student-t"; None where there is no interval
    targets: tuple[Reach, ...]
    n_trained: int | None  # per run, mean over seeds
    n_scored: int | None
    n_refreshed: int | None
    hidden_mean: float | None
    hidden_ceiling: float | None = None  # mean share that the strategy allowed itself to hide [fraction]
    time_parts: Mapping[str, Part] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Downstream:
    """What a transfer came to on one pair: accuracies after the last epoch."""

    pair: str
    acc_final: float | None
    acc_final_sd: float | None
    acc_final_diff: float | None
    acc_final_diff_ci: Bounds
    acc_final_diff_range: Bounds
    acc_best: float | None
    metric: str | None = None


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """One strategy trained upstream, and what became of it downstream, over the seeds that went all the way."""

    strategy: str
    seeds: int
    upstream_loss: float | None  # training loss of the last epoch [nat]
    upstream_loss_sd: float | None
    upstream_s: float | None  # [s]
    upstream_time_diff: float | None  # [fraction]
    upstream_time_diff_ci: Bounds
    upstream_time_diff_range: Bounds
    downstream: tuple[Downstream, ...]


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Strategies compared upstream and downstream."""

    upstream: str
    downstream: tuple[str, ...]
    rows: tuple[TransferRow, ...]
    recorded: bool = False  # whether all runs downstream have on record which run they began with


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All strategies of an experiment, and what must be said about them."""

    experiment: str
    baseline: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]  # the texts of ``findings``
    findings: tuple[Finding, ...] = ()
    transfers: tuple[Transfer, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The comparison as ``compare --format json`` prints it."""
        return {"schema": 1, **asdict(self)}


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
    for part in ("background", "eval", "stage", "total"):
        found[part] = Part(mean_of(runs[f"{part}_s"].tolist()))
    return found


LOOKS = (("n_scored", "select_s"), ("n_refreshed", "refresh_s"))
PRICED = ("n_trained", "train_s", "forward_s", *(column for look in LOOKS for column in look))


def time_ceiling(own: Mapping[str, float], base: Mapping[str, float]) -> float | None:
    """The change of training time if nothing but passes cost anything; None where it is not known.

    A trained sample is priced as the baseline's.  A scored or refreshed one is priced as a
    forward pass: the baseline's of training, or what the method itself took for a look where
    that is less (evaluation mode is cheaper), so that the ceiling is never too strict.
    ``own`` and ``base`` are sums over matched runs and all their phases, by the names in
    ``PRICED``; NaN is not known.  Returns a fraction: -0.15 for 15 % less time.
    """
    if not base["n_trained"] > 0 or not base["forward_s"] > 0:
        return None
    per_trained = base["train_s"] / base["n_trained"]
    per_forward = base["forward_s"] / base["n_trained"]
    looks = 0.0
    for n, seconds in LOOKS:
        if own[n] != 0:
            # min() would pass over a NaN; a look whose cost is not known makes the ceiling unknown
            looks += own[n] * (min(per_forward, own[seconds] / own[n]) if own[seconds] >= 0 else math.nan)
    change = (own["n_trained"] * per_trained + looks) / base["train_s"] - 1
    return None if math.isnan(change) else float(change)
