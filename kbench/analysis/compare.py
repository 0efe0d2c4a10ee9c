"""Each strategy against its matched baseline: same pair, same seed, same everything else."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from kbench.analysis.ceiling import time_ceiling
from kbench.analysis.curve import Curve, curves, seconds_to
from kbench.analysis.frame import Frames
from kbench.analysis.interval import FEWEST, Bounds, deviation, mean_and_interval, ratio_and_interval
from kbench.errors import ResultsError


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How fast an accuracy was reached."""

    target: float  # [fraction]
    reached: int  # of the seeds
    seconds: float | None  # [s] mean over the seeds; None unless all reached it
    speedup: float | None  # baseline's time over this one's, geometric mean over paired seeds
    speedup_ci: Bounds


@dataclass(frozen=True, kw_only=True)
class Row:
    """One strategy on one pair, over seeds.  Differences are paired by seed; None for the baseline."""

    pair: str
    strategy: str
    seeds: int
    acc_best: float
    acc_best_sd: float | None
    acc_final: float
    acc_diff: float | None  # of the best accuracies [fraction]
    acc_diff_ci: Bounds
    acc_final_diff: float | None
    acc_final_diff_ci: Bounds
    train_s: float
    time_diff: float | None  # change of training time [fraction], geometric mean
    time_diff_ci: Bounds
    time_ceiling: float | None
    targets: tuple[Reach, ...]
    n_trained: int  # per run, mean over seeds
    n_scored: int
    n_refreshed: int
    hidden_mean: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All strategies of an experiment, and what must be said about them."""

    experiment: str
    baseline: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The comparison as ``compare --format json`` prints it."""
        return {"schema": 1, **asdict(self)}


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
    rows, warnings = [], list(_warnings(frames, baseline))
    for (pair, strategy), own in done.groupby(["pair", "strategy"], sort=False):
        base = done[(done["pair"] == pair) & (done["strategy"] == baseline)]
        matched = own[own["match_key"].isin(base["match_key"])].sort_values("seed")
        if matched.empty:
            warnings.append(f"{pair} / {strategy}: no matched run of {baseline}; left out")
            continue
        partner = base.set_index("match_key").loc[matched["match_key"]].reset_index()
        rows.append(_row(frames, matched, partner, every, targets))
    warnings += [*_too_few(rows), *_too_good(rows)]
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


def _too_few(rows: Sequence[Row]) -> Iterator[str]:
    """Rows whose seeds are too few for an interval."""
    few: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        if row.seeds < FEWEST:
            few.setdefault((row.pair, row.seeds), []).append(row.strategy)
    for (pair, n), strategies in few.items():
        yield f"{pair}: {', '.join(strategies)}: {n} matched seed{'s' * (n > 1)}, and intervals take {FEWEST}"


def _too_good(rows: Sequence[Row]) -> Iterator[str]:
    """Savings that the samples cannot explain: beyond chance, or perhaps by chance."""
    lucky: dict[str, list[str]] = {}
    for row in rows:
        if row.time_diff is None or row.time_ceiling is None or row.time_diff >= row.time_ceiling:
            continue
        if row.time_diff_ci and row.time_diff_ci[1] < row.time_ceiling:
            yield (
                f"{row.pair} / {row.strategy}: its time changed by {100 * row.time_diff_ci[1]:+.1f} % or less, "
                f"its samples explain {100 * row.time_ceiling:+.1f} %; its steps were cheaper than the "
                "baseline's: do not believe it"
            )
        else:
            lucky.setdefault(row.pair, []).append(row.strategy)
    for pair, strategies in lucky.items():
        yield (
            f"{pair}: {', '.join(strategies)} took less time than the samples explain (at best), within chance; "
            "the baseline's runs may have been slow: more seeds or a quieter machine would tell"
        )


def _warnings(frames: Frames, baseline: str) -> Iterator[str]:
    """What a reader must know before believing a row."""
    open_runs = frames.runs[frames.runs["state"] != "done"]
    for _, run in open_runs.iterrows():
        why = f": {run['error']}" if isinstance(run["error"], str) else ""
        yield f"{run['run_id']} is {run['state']}{why}; not in the table"
    done = frames.done
    for (pair, strategy), own in done.groupby(["pair", "strategy"], sort=False):
        base = done[(done["pair"] == pair) & (done["strategy"] == baseline)]
        alone = sorted(own[~own["match_key"].isin(base["match_key"])]["seed"])
        if alone and not base.empty:
            yield f"{pair} / {strategy}: seeds {alone} have no matched baseline; left out"
    for pair in done["pair"].unique():
        own = done[done["pair"] == pair]
        for column in ("device_name", "hosts", "torch_version", "threads_per_rank", "commit", "max_parallel"):
            values = sorted({str(v) for v in own[column].dropna().convert_dtypes()})
            if len(values) > 1:
                yield f"{pair}: runs differ in {column} ({', '.join(values)}); their times are not matched"
        if (own["max_parallel"] > 1).any():
            yield f"{pair}: up to {own['max_parallel'].max():g} runs shared the machine; cpu_s is steadier than train_s"
        if own["dirty"].eq(True).any():
            yield f"{pair}: made with uncommitted changes in kbench's source"
