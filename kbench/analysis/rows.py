"""The comparison as values: a row per strategy and pair, transfers, findings."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from kbench.analysis.across_pairs import AcrossPairs
from kbench.analysis.drift import Drift, allow_for_drift, mean_places
from kbench.analysis.finding import Finding
from kbench.analysis.frame import Clock
from kbench.analysis.interval import (
    PLAIN,
    UNKNOWN,
    Bounds,
    Confidence,
    Estimate,
    estimate,
    estimate_change,
    geometric_mean_of,
    mean_of,
    standard_deviation,
)
from kbench.analysis.margin import MarginTest, Shown, margin_test
from kbench.analysis.pairing import differences, metric_of, pair_of, ratios, sums, timed
from kbench.analysis.sampling import OverSamples, RunHits, over_samples
from kbench.analysis.time_to_target import TimeToTarget
from kbench.analysis.transfer import Transfer
from kbench.records.disturbance import Disturbed
from kbench.records.schema import ON_CLOCK, TIME_PARTS

JSON_KEYS = {"requested": "asked", "ideal_time_change": "time_ceiling"}  # where a field has another name in JSON
NO_HITS: Mapping[str, RunHits] = MappingProxyType({})
CONTROL_FIELDS = "seeds acc_final_diff acc_final_diff_ci time_diff time_diff_ci loses_at_most saves_at_least".split()


@dataclass(frozen=True)
class TimeShare:
    """Where time went: the mean of a run over all its phases."""

    seconds: float | None  # None: not known, or nothing of the kind happened
    share: float | None = None  # of the training time; None for what is not on that clock


@dataclass(frozen=True, kw_only=True)
class Row:
    """One strategy on one pair, over seeds.  Differences are paired by seed; None for the baseline.

    None also where it cannot be known: one seed has no interval, imported logs lack columns.
    ``*_ci`` is a 95 % interval over seeds by Student's t, from three on, ``*_samples_ci`` one over seeds and
    test samples (see ``sampling``); ``*_bca`` by bootstrap over seeds, from twenty on; ``*_range`` the smallest and
    largest of the seeds and no interval; ``*_p`` the p-value of the paired t test, ``*_p_holm`` the same adjusted
    for all strategies of the pair (Holm).
    """

    pair: str
    strategy: str
    seeds: int
    timed_seeds: int = 0  # of them, whose times count: neither the run nor its baseline's was disturbed
    metric: str | None = None  # what the accuracies are: "top1", "mean_iou"; None: not known, or several
    upstream: str | None = None  # the pair whose weights its runs began with; None: fresh ones
    noise: float | None = None  # share of its training labels that were moved to another class; None: not known
    margin: float | None = None  # of the final accuracy that may be lost [fraction]; None: none was set
    shown: Shown | None = None  # that it saves time and loses at most the margin; None: no margin, or too few seeds
    shown_p_holm: float | None = None
    saves_at_least: float | None = None  # [fraction] one-sided bounds, 95 % each
    saves_at_most: float | None = None
    loses_at_most: float | None = None
    loses_at_least: float | None = None
    equivalent: bool | None = None  # whether its accuracy is shown to differ by less than the margin
    seeds_needed: int | None = None  # in all, to show it with 80 % power if the truth is as measured; None: none would
    acc_final: float | None
    acc_final_sd: float | None = None
    acc_final_base: float | None = None  # the baseline's, on the matched seeds
    acc_final_diff: float | None  # what is claimed [fraction]
    acc_final_diff_ci: Bounds
    acc_final_diff_range: Bounds = None
    acc_final_diff_bca: Bounds = None
    acc_final_diff_p: float | None = None
    acc_final_diff_p_holm: float | None = None
    acc_final_diff_samples_ci: Bounds = None  # over seeds and test samples; the other one is over seeds
    test_samples: int | None = None  # whose hits are known
    hits_seeds: int | None = None  # of which both runs' are
    hits_missing: str = ""  # why there is no interval over samples, or what it is without; empty: nothing
    acc_worst: float | None = None  # of the worst class after the last epoch [fraction]; None: not known, or no classes
    acc_worst_sd: float | None = None
    acc_worst_base: float | None = None
    acc_worst_diff: float | None = None
    acc_worst_diff_ci: Bounds = None
    acc_worst_diff_range: Bounds = None
    acc_best: float | None  # of all epochs: more epochs are more draws
    acc_best_sd: float | None
    acc_diff: float | None  # of the best accuracies [fraction]
    acc_diff_ci: Bounds
    acc_diff_range: Bounds = None
    train_s: float | None  # geometric mean, as the change is
    train_s_sd: float | None = None
    train_s_base: float | None = None  # the baseline's, on the matched seeds
    time_diff: float | None  # change of training time [fraction], geometric mean
    time_diff_ci: Bounds
    time_diff_range: Bounds = None
    time_diff_bca: Bounds = None
    time_diff_p: float | None = None
    time_diff_p_holm: float | None = None
    ideal_time_change: float | None  # [fraction] if nothing but the samples' passes cost anything
    stage_s: float | None = None  # [s] copying data to the node; None: nothing was staged, or not known
    total_s: float | None = None  # [s] training, evaluation and staging; geometric mean
    total_s_base: float | None = None  # the baseline's, on the matched seeds
    total_diff: float | None = None  # its change [fraction], geometric mean
    total_diff_ci: Bounds = None
    total_diff_range: Bounds = None
    cpu_s: float | None = None  # [s] processor time of training over all ranks, geometric mean; None: on GPUs
    cpu_s_base: float | None = None
    cpu_diff: float | None = None
    cpu_diff_ci: Bounds = None
    cpu_diff_range: Bounds = None
    ci_method: str | None = None  # "student-t"; None where there is no interval
    targets: tuple[TimeToTarget, ...]
    n_trained: int | None  # per run, mean over seeds
    n_scored: int | None
    n_refreshed: int | None
    hidden_mean: float | None
    hidden_ceiling: float | None = None  # mean share that the strategy allowed itself to hide [fraction]
    time_parts: Mapping[str, TimeShare] = field(default_factory=dict)


class ControlVerdict(StrEnum):
    """What is shown of a method beside a control."""

    BEATS = "beats"  # better in accuracy or time, and shown to be as good in the other
    MIXED = "mixed"  # better in one, worse in the other
    WORSE = "worse"
    EQUAL = "equal"  # within the margins on both sides
    OPEN = "open"
    UNKNOWN = "unknown"  # no interval


@dataclass(frozen=True)
class AgainstControl:
    """A method beside a control, on the seeds that both have."""

    row: Row  # the method's, compared with the control
    control: str
    equal_time: bool  # the control was given the method's time, so accuracy alone decides
    verdict: ControlVerdict
    n_rivals: int  # strategies that are compared with this control on the pair


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All strategies of an experiment beside the baseline, and what must be known before believing it."""

    experiment: str
    baseline: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]  # the texts of ``findings``
    findings: tuple[Finding, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    controls: tuple[AgainstControl, ...] = ()
    clock: Clock = "train"  # that targets are reached on
    disturbed: tuple[Disturbed, ...] = ()  # runs of which no time counts, but with ``keeps_disturbed``
    keeps_disturbed: bool = False
    across: AcrossPairs | None = None  # three or more pairs together

    def as_json(self) -> dict[str, object]:
        """The comparison as ``compare --format json`` prints it."""
        whole = asdict(replace(self, controls=()), dict_factory=_with_json_keys)
        whole["controls"] = [
            {
                "pair": one.row.pair,
                "strategy": one.row.strategy,
                "control": one.control,
                "verdict": str(one.verdict),
                "equal_time": one.equal_time,
                **{name: getattr(one.row, name) for name in CONTROL_FIELDS},
            }
            for one in self.controls
        ]
        return {"schema": 1, **whole}


def _with_json_keys(fields: list[tuple[str, object]]) -> dict[str, object]:
    return {JSON_KEYS.get(name, name): value for name, value in fields}


def build_row(
    runs: pd.DataFrame,
    targets: tuple[TimeToTarget, ...],
    *,
    is_baseline: bool,
    margin: float | None = None,
    confidence: Confidence = PLAIN,
    n_rivals: int = 1,
    drift: Drift | None = None,
    hits: Mapping[str, RunHits] = NO_HITS,
) -> Row:
    """Sum up the runs of one strategy on one pair, paired by ``pairing.pair_runs``.

    ``n_rivals`` is the number of strategies that are compared with the same baseline on the pair;
    ``drift`` is that of the pair, ``hits`` are those of single samples, by run id.
    """
    clocked = timed(runs)
    sampled = over_samples(runs, hits, confidence=confidence) if hits and not is_baseline else OverSamples()
    changes = NO_CHANGES
    if not is_baseline:
        changes = _changes(runs, clocked, margin=margin, confidence=confidence, n_rivals=n_rivals, drift=drift)
    best, final, worst, time, total, cpu, shown = changes
    values = {name: runs[name].tolist() for name in ("best_acc1", "final_acc1", "final_acc_worst")}
    seconds = {name: clocked[name].tolist() for name in ("total_train_s", "total_s", "cpu_s")}
    base_seconds = {name: [] if is_baseline else clocked[f"{name}_base"].tolist() for name in seconds}
    return Row(
        pair=str(runs["pair"].iloc[0]),
        strategy=str(runs["strategy"].iloc[0]),
        seeds=len(runs),
        timed_seeds=len(clocked),
        metric=metric_of(runs),
        upstream=_upstream(runs),
        noise=mean_of(runs["noise"].tolist()),
        margin=None if is_baseline else margin,
        shown=None if shown.p is None else "no" if shown.refuted else "open",  # "yes" takes Holm's adjustment
        shown_p_holm=shown.p,
        saves_at_least=shown.saves_at_least,
        saves_at_most=shown.saves_at_most,
        loses_at_most=shown.loses_at_most,
        loses_at_least=shown.loses_at_least,
        equivalent=shown.equivalent,
        seeds_needed=shown.seeds_needed,
        acc_final=mean_of(values["final_acc1"]),
        acc_final_sd=standard_deviation(values["final_acc1"]),
        acc_final_base=None if is_baseline else mean_of(runs["final_acc1_base"].tolist()),
        acc_final_diff=final.mean,
        acc_final_diff_ci=final.ci,
        acc_final_diff_range=final.range,
        acc_final_diff_bca=final.bca,
        acc_final_diff_p=final.p,
        acc_final_diff_samples_ci=sampled.ci,
        test_samples=sampled.n_samples,
        hits_seeds=sampled.n_seeds or None,
        hits_missing=sampled.missing,
        acc_worst=mean_of(values["final_acc_worst"]),
        acc_worst_sd=standard_deviation(values["final_acc_worst"]),
        acc_worst_base=None if is_baseline else mean_of(runs["final_acc_worst_base"].tolist()),
        acc_worst_diff=worst.mean,
        acc_worst_diff_ci=worst.ci,
        acc_worst_diff_range=worst.range,
        acc_best=mean_of(values["best_acc1"]),
        acc_best_sd=standard_deviation(values["best_acc1"]),
        acc_diff=best.mean,
        acc_diff_ci=best.ci,
        acc_diff_range=best.range,
        train_s=geometric_mean_of(seconds["total_train_s"]),
        train_s_sd=standard_deviation(seconds["total_train_s"]),
        train_s_base=geometric_mean_of(base_seconds["total_train_s"]),
        time_diff=time.mean,
        time_diff_ci=time.ci,
        time_diff_range=time.range,
        time_diff_bca=time.bca,
        time_diff_p=time.p,
        ideal_time_change=None if is_baseline else ideal_time_change(sums(clocked), sums(clocked, "_base")),
        stage_s=mean_of(clocked["stage_s"].tolist()),
        total_s=geometric_mean_of(seconds["total_s"]),
        total_s_base=geometric_mean_of(base_seconds["total_s"]),
        total_diff=total.mean,
        total_diff_ci=total.ci,
        total_diff_range=total.range,
        cpu_s=geometric_mean_of(seconds["cpu_s"]),
        cpu_s_base=geometric_mean_of(base_seconds["cpu_s"]),
        cpu_diff=cpu.mean,
        cpu_diff_ci=cpu.ci,
        cpu_diff_range=cpu.range,
        ci_method="student-t" if best.ci or final.ci or time.ci else None,
        targets=targets,
        n_trained=_count(runs, "n_trained"),
        n_scored=_count(runs, "n_scored"),
        n_refreshed=_count(runs, "n_refreshed"),
        hidden_mean=mean_of(runs["hidden_mean"].tolist()),
        hidden_ceiling=mean_of(runs["ceiling"].tolist()),
        time_parts=_time_parts(clocked),
    )


class Changes(NamedTuple):
    """What changed against the baseline's runs: accuracies, times, and what both show of the margin."""

    best: Estimate
    final: Estimate
    worst: Estimate
    time: Estimate
    total: Estimate
    cpu: Estimate
    shown: MarginTest


NO_CHANGES = Changes(
    best=UNKNOWN,
    final=UNKNOWN,
    worst=UNKNOWN,
    time=UNKNOWN,
    total=UNKNOWN,
    cpu=UNKNOWN,
    shown=MarginTest(saves_at_least=None, saves_at_most=None, loses_at_most=None, loses_at_least=None),
)


def _changes(
    runs: pd.DataFrame,
    clocked: pd.DataFrame,
    *,
    margin: float | None,
    confidence: Confidence,
    n_rivals: int,
    drift: Drift | None,
) -> Changes:
    """Estimate the changes of ``runs``, and of the times of those of them that are ``clocked``."""
    places = mean_places(clocked)
    times, totals = ratios(clocked, "total_train_s"), ratios(clocked, "total_s")
    time = estimate_change(times, resampled=True, confidence=confidence)
    time = allow_for_drift(time, times, places, drift, confidence)
    final = estimate(differences(runs, "final_acc1"), resampled=True, confidence=confidence)
    return Changes(
        best=estimate(differences(runs, "best_acc1"), confidence=confidence),
        final=final,
        worst=estimate(differences(runs, "final_acc_worst"), confidence=confidence),
        time=time,
        total=allow_for_drift(estimate_change(totals, confidence=confidence), totals, places, drift, confidence),
        cpu=estimate_change(ratios(clocked, "cpu_s"), confidence=confidence),
        shown=margin_test(final, time, margin, confidence=confidence, n_rivals=n_rivals),
    )


def _upstream(runs: pd.DataFrame) -> str | None:
    """The pair whose weights the runs began with: a run's name begins with its pair's."""
    upstream = runs["upstream"].dropna()
    return None if upstream.empty else pair_of(str(upstream.iloc[0]))


def _count(runs: pd.DataFrame, column: str) -> int | None:
    mean = mean_of(runs[column].tolist())
    return None if mean is None else round(mean)


def _time_parts(runs: pd.DataFrame) -> dict[str, TimeShare]:
    """The parts of the training time with their shares of it, then what is not on that clock, and all of it."""
    total = float(runs["total_train_s"].sum(skipna=False))
    parts = {}
    for part in TIME_PARTS:
        spent = runs[part.column]
        share = float(spent.sum(skipna=False)) / total if part in ON_CLOCK and total > 0 else math.nan
        parts[part.name] = TimeShare(mean_of(spent.tolist()), None if math.isnan(share) else share)
    for name in ("stage", "total"):
        parts[name] = TimeShare(mean_of(runs[f"{name}_s"].tolist()))
    return parts


FORWARD_PASSES = (("n_scored", "select_s"), ("n_refreshed", "refresh_s"))  # of selection: samples and their seconds
PRICED = ("n_trained", "train_s", "forward_s", *(column for passes in FORWARD_PASSES for column in passes))


def ideal_time_change(own: Mapping[str, float], base: Mapping[str, float]) -> float | None:
    """The change of training time if nothing but passes over samples cost anything.

    A trained sample is priced as the baseline's.  A scored or refreshed one is priced as a
    forward pass: the baseline's of training, or what the method itself took for one where
    that is less (evaluation mode is cheaper), so that the bound is never too strict.

    Args:
        own: Sums over matched runs and all their phases, by the names in ``PRICED``; NaN is not known.
        base: The same of the baseline's runs.

    Returns:
        A fraction, -0.15 for 15 % less time; None where it is not known.
    """
    if not base["n_trained"] > 0 or not base["forward_s"] > 0:
        return None
    per_trained = base["train_s"] / base["n_trained"]
    per_forward = base["forward_s"] / base["n_trained"]
    passes_s = 0.0
    for n, seconds in FORWARD_PASSES:
        if own[n] != 0:
            # min() would pass over a NaN; a pass whose cost is not known makes the whole unknown
            passes_s += own[n] * (min(per_forward, own[seconds] / own[n]) if own[seconds] >= 0 else math.nan)
    change = (own["n_trained"] * per_trained + passes_s) / base["train_s"] - 1
    return None if math.isnan(change) else float(change)
