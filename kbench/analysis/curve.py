"""Accuracy over time: one curve per run."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from kbench.analysis.frame import Frames


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The last phase of a run, epoch by epoch; earlier phases are where its clock starts."""

    pair: str
    strategy: str
    seed: int
    match_key: str
    seconds: tuple[float, ...]  # [s] on the run's clock when each epoch ended
    accuracy: tuple[float, ...]  # [fraction] after it
    start_s: float  # [s] spent in earlier phases

    @property
    def total_s(self) -> float:
        """The training time of the whole run."""
        return self.seconds[-1]


def curves(frames: Frames) -> Iterator[Curve]:
    """The curve of every run that is done, in the order of the file."""
    done = frames.epochs[frames.epochs["run_id"].isin(frames.done["run_id"])]
    for _, rows in done.groupby("run_id", sort=False):
        last = _last_phase(rows)
        first = last.iloc[0]
        yield Curve(
            pair=str(first["pair"]),
            strategy=str(first["strategy"]),
            seed=int(first["seed"]),
            match_key=str(first["match_key"]),
            seconds=tuple(last["elapsed_s"].astype(float)),
            accuracy=tuple(last["val_acc1"].astype(float)),
            start_s=float(first["elapsed_s"] - first["train_s"]),
        )


def _last_phase(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.sort_values("elapsed_s")
    phase = ordered["phase"].to_list()[-1]
    return ordered[ordered["phase"].eq(phase)]


def seconds_to(curve: Curve, target: float) -> float | None:
    """When the accuracy first reached ``target`` [fraction], or None if it never did.

    The end of the first epoch at or above it: nothing is interpolated, nothing extrapolated.
    """
    reached = (s for s, a in zip(curve.seconds, curve.accuracy, strict=True) if a >= target)
    return next(reached, None)
