"""What a method could save at best: the price of its forward and training passes, and nothing else."""

import pandas as pd

from kbench.analysis.frame import Frames


def time_ceiling(frames: Frames, method: pd.DataFrame, baseline: pd.DataFrame) -> float | None:
    """The change of training time if nothing but passes cost anything; None where it is not known.

    A trained sample is priced as the baseline's, a scored or refreshed one as a forward pass:
    the cheaper of the baseline's training forward and its evaluation, per sample, so that the
    ceiling is never too low.  ``method`` and ``baseline`` are rows of matched runs.
    Returns a fraction, -0.15 for 15 % less time.  Source of the idea: facts on KAKURENBO's
    cost model, 1 - h (1 - f) for a hidden share h and a forward share f.
    """
    epochs = frames.epochs[frames.epochs["run_id"].isin(baseline["run_id"])]
    trained, train_s = float(epochs["n_trained"].sum()), float(epochs["train_s"].sum())
    forward_s = float(epochs["forward_s"].sum())
    if not trained or not train_s or not forward_s:
        return None
    looks = float(method["n_scored"].sum() + method["n_refreshed"].sum())
    per_trained = train_s / trained
    per_look = min(forward_s / trained, per_trained)
    best = float(method["n_trained"].sum()) * per_trained + looks * per_look
    return best / float(baseline["total_train_s"].sum()) - 1
