"""What a comparison says: a row per strategy, and remarks."""

from dataclasses import asdict, dataclass
from typing import Any

from kbench.analysis.interval import Bounds


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
