"""Accuracy curves: accuracy over training time, one curve per run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kbench.analysis.frame import Frames, last_phase
from kbench.analysis.pairing import with_shared_staging


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The last phase of a run, epoch by epoch; earlier phases are where its clock starts.

    What imported logs do not hold is NaN, and so are the times of runs that were disturbed.
    """

    pair: str
    strategy: str
    seed: int
    match_key: str
    seconds: tuple[float, ...]  # [s] on the run's clock when each epoch ended; on the total one, was evaluated
    accuracy: tuple[float, ...]  # [fraction] after it
    start_s: float  # [s] spent in earlier phases
    run_id: str = ""
    is_timed: bool = True  # whether its times count: it was not disturbed

    @property
    def epoch_s(self) -> float:
        """The mean time from one evaluation to the next."""
        return (self.total_s - self.start_s) / len(self.seconds)

    @property
    def total_s(self) -> float:
        """The time of the whole run."""
        return self.seconds[-1]


def curves(frames: Frames) -> Iterator[Curve]:
    """The curve of every run that is done, in the order of the file."""
    epochs = frames.epochs
    done = epochs[epochs["run_id"].isin(frames.done["run_id"])]
    if done.empty:
        return
    done = _on_clock(done, frames)
    last = last_phase(done.assign(run=done["run_id"].factorize()[0])).sort_values("run", kind="stable")
    seconds, accuracy = last["clock_s"].to_numpy(float), last["val_acc1"].to_numpy(float)
    starts = seconds - last["spent_s"].to_numpy(float)
    begins = np.flatnonzero(np.diff(last["run"].to_numpy(), prepend=-1)).tolist()
    named = last.iloc[begins][["pair", "strategy", "seed", "match_key", "run_id"]].itertuples(index=False)
    for begin, end, first in zip(begins, [*begins[1:], len(last)], named, strict=True):
        yield Curve(
            pair=str(first.pair),
            strategy=str(first.strategy),
            seed=int(str(first.seed)),
            match_key=str(first.match_key),
            seconds=tuple(seconds[begin:end].tolist()),
            accuracy=tuple(accuracy[begin:end].tolist()),
            start_s=float(starts[begin]),
            run_id=str(first.run_id),
            is_timed=first.run_id not in frames.untimed,
        )


def _on_clock(epochs: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """With ``clock_s``, when each epoch ended on the clock of ``frames``, and ``spent_s``, how long it took on it."""
    clock_s, spent_s = epochs["elapsed_s"].astype(float), epochs["train_s"].astype(float)
    if frames.clock == "total":
        eval_s = epochs["eval_s"].astype(float)
        runs = with_shared_staging(frames.done.drop_duplicates("run_id"))
        stage_s = runs.set_index("run_id")["stage_s"].fillna(0.0)
        clock_s = clock_s + epochs["run_id"].map(stage_s)
        ordered = epochs.assign(eval_s=eval_s).sort_values("elapsed_s", kind="stable")
        spent_s, clock_s = spent_s + eval_s, clock_s + ordered.groupby("run_id")["eval_s"].cumsum(skipna=False)
    known = ~epochs["run_id"].isin(frames.untimed)
    return epochs.assign(clock_s=clock_s.where(known), spent_s=spent_s.where(known))


def seconds_to(curve: Curve, target: float, *, sustained: bool = False) -> float | None:
    """When the accuracy first reached ``target`` [fraction]: the end [s] of the first epoch at or above it.

    With ``sustained``, of the first epoch at or above it that is followed by another such.
    Nothing is interpolated, nothing extrapolated.

    Returns:
        None if it was never reached, NaN where it was reached at a time that is not on record.
    """
    hits = [accuracy >= target for accuracy in curve.accuracy]
    if sustained:
        hits = [hit and following for hit, following in zip(hits, [*hits[1:], False], strict=True)]
    return next((s for s, hit in zip(curve.seconds, hits, strict=True) if hit), None)


def at_steps(curve: Curve, step_s: float) -> Curve:
    """The curve as it is seen every ``step_s`` seconds, each in the nearest evaluation, half a step off at most."""
    times = np.asarray(curve.seconds)
    if not np.isfinite(times).all():
        return curve
    grid = step_s * np.arange(1, int(curve.total_s / step_s + 0.5) + 1)
    nearest = np.abs(times - grid[:, None] - 1e-9 * step_s).argmin(axis=1)  # of two alike the later
    known = np.abs(times[nearest] - grid) <= 0.5 * step_s * (1 + 1e-6)
    accuracy = np.asarray(curve.accuracy)[nearest][known].tolist()
    return replace(curve, seconds=tuple(grid[known].tolist()), accuracy=tuple(accuracy))
