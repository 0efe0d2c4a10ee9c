"""Accuracy curves: accuracy over training time, one curve per run."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kbench.analysis.frame import Frames, last_phase


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The last phase of a run, epoch by epoch; earlier phases are where its clock starts.

    What imported logs do not hold is NaN.
    """

    pair: str
    strategy: str
    seed: int
    match_key: str
    seconds: tuple[float, ...]  # [s] on the run's clock when each epoch ended
    accuracy: tuple[float, ...]  # [fraction] after it
    start_s: float  # [s] spent in earlier phases
    run_id: str = ""

    @property
    def total_s(self) -> float:
        """The training time of the whole run."""
        return self.seconds[-1]


def curves(frames: Frames) -> Iterator[Curve]:
    """The curve of every run that is done, in the order of the file."""
    epochs = frames.epochs
    done = epochs[epochs["run_id"].isin(frames.done["run_id"])]
    if done.empty:
        return
    last = last_phase(done.assign(run=done["run_id"].factorize()[0])).sort_values("run", kind="stable")
    seconds, accuracy = last["elapsed_s"].to_numpy(float), last["val_acc1"].to_numpy(float)
    starts = seconds - last["train_s"].to_numpy(float)
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
        )


def seconds_to(curve: Curve, target: float) -> float | None:
    """When the accuracy first reached ``target`` [fraction]: the end [s] of the first epoch at or above it.

    Nothing is interpolated, nothing extrapolated.

    Returns:
        None if it was never reached, NaN where it was reached at a time that is not on record.
    """
    return next((s for s, a in zip(curve.seconds, curve.accuracy, strict=True) if a >= target), None)
