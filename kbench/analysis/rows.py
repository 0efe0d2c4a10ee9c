"""What a comparison says: a row per strategy, and remarks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kbench.analysis.audit.finding import Finding
from kbench.analysis.interval import Bounds


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How fast a target was reached.  A speed-up is the baseline's time over this one's, paired by seed."""

    asked: str  # as it was asked for: "0.76" or "final*1.1"
    target: float | None  # the accuracy that it means on this pair [fraction]
    reached: int | None  # of the seeds; None where no accuracy is on record
    seconds: float | None  # [s] mean over the seeds; None unless all reached it
    speedup: float | None  # geometric mean; None unless all runs of both reached it
    speedup_ci: Bounds
    speedup_range: Bounds = None
    speedup_at_least: float | None = None  # where all runs of this one reached it, and some of the baseline's did not
    speedup_median: float | None = None  # from six seeds on; a run that did not reach it counts as 0
    speedup_median_ci: tuple[float, float | None] | None = None  # 95 %, from ranks; None: no upper bound


@dataclass(frozen=True)
class Part:
    """Where time went: the mean of a run over all its phases."""

    seconds: float | None  # None: not known, or nothing of the kind happened
    share: float | None = None  # of the training time; None for what is not on that clock


@dataclass(frozen=True, kw_only=True)
class Row:
    """One strategy on one pair, over seeds.  Differences are paired by seed; None for the baseline.

    None also where it cannot be known: one seed has no interval, the logs of others not every column.
    ``*_ci`` is a 95 % interval by Student's t, from three seeds on; ``*_bca`` by bootstrap, from
    twenty on; ``*_range`` the smallest and largest of the seeds and no interval; ``*_p`` the p-value
    of the paired t test, ``*_p_holm`` the same adjusted for all strategies of the pair (Holm).
    """

    pair: str
    strategy: str
    seeds: int
    metric: str | None = None  # what the accuracies are: "top1", "mean_iou"; None: not known, or several
    upstream: str | None = None  # the pair whose weights its runs began with; None: fresh ones
    acc_best: float | None
    acc_best_sd: float | None
    acc_final: float | None
    acc_final_sd: float | None = None
    acc_diff: float | None  # of the best accuracies [fraction]
    acc_diff_ci: Bounds
    acc_diff_range: Bounds = None
    acc_diff_bca: Bounds = None
    acc_diff_p: float | None = None
    acc_diff_p_holm: float | None = None
    acc_final_diff: float | None
    acc_final_diff_ci: Bounds
    acc_final_diff_range: Bounds = None
    train_s: float | None
    train_s_sd: float | None = None
    time_diff: float | None  # change of training time [fraction], geometric mean
    time_diff_ci: Bounds
    time_diff_range: Bounds = None
    time_diff_bca: Bounds = None
    time_diff_p: float | None = None
    time_diff_p_holm: float | None = None
    time_ceiling: float | None
    stage_s: float | None = None  # [s] copying data to the node; None: nothing was staged, or not known
    total_s: float | None = None  # [s] training, evaluation and staging
    ci_method: str | None = None  # "student-t"; None where there is no interval
    targets: tuple[Reach, ...]
    n_trained: int | None  # per run, mean over seeds
    n_scored: int | None
    n_refreshed: int | None
    hidden_mean: float | None
    hidden_ceiling: float | None = None  # mean share that the strategy allowed itself to hide [fraction]
    time_parts: Mapping[str, Part] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Downstream:
    """What a transfer came to on one pair: accuracies after the last epoch."""

    pair: str
    acc_final: float | None
    acc_final_sd: float | None
    acc_final_diff: float | None
    acc_final_diff_ci: Bounds
    acc_final_diff_range: Bounds
    acc_best: float | None
    metric: str | None = None


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """One strategy trained upstream, and what became of it downstream, over the seeds that went all the way."""

    strategy: str
    seeds: int
    upstream_loss: float | None  # training loss of the last epoch [nat]
    upstream_loss_sd: float | None
    upstream_s: float | None  # [s]
    upstream_time_diff: float | None  # [fraction]
    upstream_time_diff_ci: Bounds
    upstream_time_diff_range: Bounds
    downstream: tuple[Downstream, ...]


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Strategies compared upstream and downstream."""

    upstream: str
    downstream: tuple[str, ...]
    rows: tuple[TransferRow, ...]
    recorded: bool = False  # whether all runs downstream have on record which run they began with


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All strategies of an experiment, and what must be said about them."""

    experiment: str
    baseline: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]  # the texts of ``findings``
    findings: tuple[Finding, ...] = ()
    transfers: tuple[Transfer, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The comparison as ``compare --format json`` prints it."""
        return {"schema": 1, **asdict(self)}
