"""What a method could save at best: the price of its forward and training passes, and nothing else."""

import pandas as pd

from kbench.analysis.frame import Frames


def time_ceiling(frames: Frames, method: pd.DataFrame, baseline: pd.DataFrame) -> float | None:
    """The change of training time if nothing but passes cost anything; None where it is not known.

    A trained sample is priced as the baseline's.  A scored or refreshed one is priced as a
    forward pass: the baseline's of training, or what the method itself took for a look where
    that is less (evaluation mode is cheaper), so that the ceiling is never too strict.
    ``method`` and ``baseline`` are rows of matched runs.
    Returns a fraction: -0.15 for 15 % less time.
    """
    base, own = _sums(frames, baseline), _sums(frames, method)
    if not base["n_trained"] or not base["forward_s"]:
        return None
    per_trained = base["train_s"] / base["n_trained"]
    per_forward = base["forward_s"] / base["n_trained"]
    looks = sum(
        own[n] * min(per_forward, own[seconds] / own[n])
        for n, seconds in (("n_scored", "select_s"), ("n_refreshed", "refresh_s"))
        if own[n]
    )
    return (own["n_trained"] * per_trained + looks) / base["train_s"] - 1


def _sums(frames: Frames, runs: pd.DataFrame) -> dict[str, float]:
    epochs = frames.epochs[frames.epochs["run_id"].isin(runs["run_id"])]
    wanted = ("n_trained", "n_scored", "n_refreshed", "train_s", "forward_s", "select_s", "refresh_s")
    return {column: float(epochs[column].sum()) for column in wanted}
