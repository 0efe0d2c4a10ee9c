"""Each strategy against its matched baseline: same pair, same seed, same everything else."""

from collections.abc import Sequence
from statistics import fmean

import pandas as pd

from kbench.analysis.audit import too_few, too_good, unmatched
from kbench.analysis.ceiling import time_ceiling
from kbench.analysis.curve import Curve, curves, seconds_to
from kbench.analysis.frame import Frames
from kbench.analysis.interval import deviation, mean_and_interval, ratio_and_interval
from kbench.analysis.rows import Comparison, Reach, Row
from kbench.errors import ResultsError


def compare(frames: Frames, *, baseline: str, targets: Sequence[float]) -> Comparison:
    """Compare every strategy with ``baseline`` on the seeds that both have.

    Raises ResultsError when no baseline run is done.
    """
    done = frames.done
    if done.empty:
        states = ", ".join(f"{n} {state}" for state, n in frames.runs["state"].value_counts().items())
        raise ResultsError(f"{frames.name}: no run is done yet ({states})", hint="kbench status tells where they stand")
    if baseline not in set(done["strategy"]):
        there = ", ".join(sorted(set(done["strategy"])))
        raise ResultsError(
            f"{frames.name}: no run of the baseline {baseline!r} is done; done are {there}",
            hint="run it, or name another with --baseline",
        )
    every = {(c.match_key, c.strategy): c for c in curves(frames)}
    rows, warnings = [], list(unmatched(frames, baseline))
    for (pair, strategy), own in done.groupby(["pair", "strategy"], sort=False):
        base = done[(done["pair"] == pair) & (done["strategy"] == baseline)]
        matched = own[own["match_key"].isin(base["match_key"])].sort_values("seed")
        if matched.empty:
            warnings.append(f"{pair} / {strategy}: no matched run of {baseline}; left out")
            continue
        partner = base.set_index("match_key").loc[matched["match_key"]].reset_index()
        rows.append(_row(frames, matched, partner, every, targets))
    warnings += [*too_few(rows), *too_good(rows)]
    return Comparison(experiment=frames.name, baseline=baseline, rows=tuple(rows), warnings=tuple(warnings))


def _row(
    frames: Frames,
    own: pd.DataFrame,
    base: pd.DataFrame,
    every: dict[tuple[str, str], Curve],
    targets: Sequence[float],
) -> Row:
    """``own`` and ``base`` are the paired runs, in the same order."""
    strategy, baseline = str(own["strategy"].iloc[0]), str(base["strategy"].iloc[0])
    is_baseline = strategy == baseline
    best, best_ci = mean_and_interval(_minus(own, base, "best_acc1"))
    final, final_ci = mean_and_interval(_minus(own, base, "final_acc1"))
    ratios = [a / b for a, b in zip(own["total_train_s"], base["total_train_s"], strict=True)]
    ratio, ratio_ci = ratio_and_interval(ratios)
    pairs = [(every[key, strategy], every[key, baseline]) for key in own["match_key"]]
    return Row(
        pair=str(own["pair"].iloc[0]),
        strategy=strategy,
        seeds=len(own),
        acc_best=float(own["best_acc1"].mean()),
        acc_best_sd=deviation(list(own["best_acc1"])),
        acc_final=float(own["final_acc1"].mean()),
        acc_diff=None if is_baseline else best,
        acc_diff_ci=None if is_baseline else best_ci,
        acc_final_diff=None if is_baseline else final,
        acc_final_diff_ci=None if is_baseline else final_ci,
        train_s=float(own["total_train_s"].mean()),
        time_diff=None if is_baseline else ratio - 1,
        time_diff_ci=(ratio_ci[0] - 1, ratio_ci[1] - 1) if ratio_ci and not is_baseline else None,
        time_ceiling=None if is_baseline else time_ceiling(frames, own, base),
        targets=tuple(_reach(pairs, target, is_baseline=is_baseline) for target in targets),
        n_trained=round(own["n_trained"].mean()),
        n_scored=round(own["n_scored"].mean()),
        n_refreshed=round(own["n_refreshed"].mean()),
        hidden_mean=float(own["hidden_mean"].mean()),
    )


def _minus(own: pd.DataFrame, base: pd.DataFrame, column: str) -> list[float]:
    return [float(a) - float(b) for a, b in zip(own[column], base[column], strict=True)]


def _reach(pairs: Sequence[tuple[Curve, Curve]], target: float, *, is_baseline: bool) -> Reach:
    """Seconds and speed-up are given only when every seed of both got there: no run is dropped."""
    own = [seconds_to(curve, target) for curve, _ in pairs]
    base = [seconds_to(curve, target) for _, curve in pairs]
    ours, theirs = [s for s in own if s is not None], [s for s in base if s is not None]
    all_ours, both = len(ours) == len(pairs), len(ours) == len(theirs) == len(pairs)
    speedup, bounds = None, None
    if both and not is_baseline:
        speedup, bounds = ratio_and_interval([b / a for a, b in zip(ours, theirs, strict=True)])
    seconds = fmean(ours) if all_ours else None
    return Reach(target=target, reached=len(ours), seconds=seconds, speedup=speedup, speedup_ci=bounds)
