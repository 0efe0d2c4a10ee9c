"""Resolution: what difference a number of seeds can show, given the spread of the baseline against itself."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd
from scipy import special

from kbench.analysis.finding import Finding, about, note
from kbench.analysis.frame import Frames
from kbench.analysis.interval import MIN_VALUES, mean_of, standard_deviation
from kbench.analysis.rows import Row
from kbench.records.calibration import Instruments, Spread, spread_for
from kbench.records.schema import metric_name

LEVEL, POWER = 0.05, 0.8
SEEDS = (3, 5, 10)  # that a calibration speaks of


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What the mean of paired differences of a known spread can tell."""

    half_width: float  # of the 95 % interval, as it is to be expected
    smallest: float  # difference that such an interval shows with 80 % power


def resolution(sd: float, n_seeds: int) -> Resolution:
    """What ``n_seeds`` differences with a standard deviation of ``sd`` resolve, by Student's t.

    Raises ValueError for fewer seeds than an interval takes.
    """
    if n_seeds < MIN_VALUES:
        raise ValueError(f"n_seeds must be {MIN_VALUES} or more, got {n_seeds}")
    error, t = sd / math.sqrt(n_seeds), float(special.stdtrit(n_seeds - 1, 1 - LEVEL / 2))
    return Resolution(half_width=t * error, smallest=float(special.nctdtrinc(n_seeds - 1, 1 - POWER, t)) * error)


def time_resolution(spread: Spread, n_seeds: int) -> Resolution | None:
    """In training time, as a change [fraction]; None where the spread is not known."""
    if spread.time_sd is None:
        return None
    logs = resolution(spread.time_sd, n_seeds)
    return Resolution(half_width=math.expm1(logs.half_width), smallest=math.expm1(logs.smallest))


def accuracy_resolution(spread: Spread, n_seeds: int) -> Resolution | None:
    """In the best accuracy [fraction]; None where the spread is not known.

    Two strategies of one seed are taken for independent, so that the difference has twice the baseline's variance.
    The baseline against itself would tell nothing: the same seed gives the same accuracy.
    """
    return None if spread.acc_sd is None else resolution(math.sqrt(2) * spread.acc_sd, n_seeds)


def spreads(frames: Frames, twins: tuple[str, str], disturbed: Sequence[str] = ()) -> tuple[Spread, ...]:
    """Measure the spread of each pair from finished runs of two labels of the same strategy.

    Args:
        frames: The gathered results.
        twins: The two labels.
        disturbed: Ids of runs whose times do not count.
    """
    found = []
    for pair, runs in frames.done[frames.done["strategy"].isin(twins)].groupby("pair", sort=False):
        own, again = (runs[runs["strategy"] == label] for label in twins)
        both = own.merge(again[["match_key", "run_id", "total_train_s"]], on="match_key", suffixes=("", "_again"))
        if both.empty:
            continue
        quiet = both[~both["run_id"].isin(disturbed) & ~both["run_id_again"].isin(disturbed)]
        logs = [math.log(a / b) for a, b in zip(quiet["total_train_s_again"], quiet["total_train_s"], strict=True)]
        accuracy, final = (both[name].astype(float).tolist() for name in ("best_acc1", "final_acc1"))
        took = (pd.to_datetime(runs["ended_at"], utc=True) - pd.to_datetime(runs["started_at"], utc=True)).dropna()
        first = runs.iloc[0]
        found.append(
            Spread(
                pair=str(pair),
                instruments=Instruments.of({str(key): value for key, value in first.items()}),
                metric=None if pd.isna(first["metric"]) else str(first["metric"]),
                epochs=int(first["epochs_done"]),
                n_seeds=len(both),
                n_disturbed=int(runs["run_id"].isin(disturbed).sum()),
                time_sd=_about_zero(logs),
                acc_sd=standard_deviation(accuracy),
                final_sd=standard_deviation(final),
                run_s=fmean(took.dt.total_seconds()) if len(took) else 0.0,
                total_s=mean_of(runs.loc[~runs["run_id"].isin(disturbed), "total_s"].astype(float).tolist()),
            )
        )
    return tuple(found)


def _about_zero(logs: Sequence[float]) -> float | None:
    """The standard deviation of differences whose mean is known to be none."""
    return math.sqrt(fmean([log**2 for log in logs])) if len(logs) > 1 else None


def resolution_findings(frames: Frames, rows: Sequence[Row]) -> Iterator[Finding]:
    """Say what the seeds of each pair can show, where a calibration of the same instruments is among the results."""
    if frames.folder is None:
        return
    for pair in dict.fromkeys(row.pair for row in rows if row.upstream is None):
        n_seeds = max((row.seeds for row in rows if row.pair == pair), default=0)
        run = frames.done[frames.done["pair"] == pair].iloc[0]
        columns = {str(key): value for key, value in run.items()}
        if n_seeds < MIN_VALUES or pd.isna(run["ranks"]):
            continue
        found = spread_for(frames.folder.path.parent, columns, int(run["epochs_done"]))
        if found:
            calibration, spread = found
            time, accuracy = time_resolution(spread, n_seeds), accuracy_resolution(spread, n_seeds)
            parts = [f"{100 * time.smallest:.2g} % of time"] if time else []
            parts += [f"{100 * accuracy.smallest:.2g} points of {metric_name(spread.metric)}"] if accuracy else []
            text = (
                f"{pair}: {n_seeds} seeds on this machine show differences from {' and '.join(parts)} on (80 % power; "
                f"calibrated {calibration.made_at:%Y-%m-%d} with {spread.n_seeds} seeds)"
            )
            yield note("resolution", text, about(pair))
