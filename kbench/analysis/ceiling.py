"""What a method could save at best: the price of its forward and training passes, and nothing else."""

import math
from collections.abc import Mapping

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
