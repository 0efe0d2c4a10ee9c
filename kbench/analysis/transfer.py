"""Transfer: training on one pair, then on others; what upstream savings do to downstream accuracy.

A run that began with another's weights has that run on record, and is matched by it.  Between pairs
without such a record a chain is the user's word, and is made of strategy and seed; the finding says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.frame import Frames, last_phase
from kbench.analysis.interval import (
    UNKNOWN,
    Bounds,
    estimate,
    estimate_change,
    geometric_mean_of,
    mean_of,
    standard_deviation,
)
from kbench.analysis.pairing import differences, metric_of, pair_of, pair_runs, ratios, timed
from kbench.errors import ResultsError

BEGINS, RUNS = ["begins", "begins_base"], ["run_id", "run_id_base"]
LOSSES = ["train_loss", "train_loss_smoothed"]
Chain = tuple[str, Sequence[str]]  # a pair upstream, and those downstream


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
    upstream_loss: float | None  # training loss of the last epoch [nat]: plain cross-entropy
    upstream_loss_sd: float | None
    upstream_loss_smoothed: float | None  # the same with the recipe's label smoothing; None: it has none
    upstream_loss_smoothed_sd: float | None
    upstream_s: float | None  # [s] geometric mean
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


def recorded_chains(frames: Frames) -> list[Chain]:
    """The chains that the runs have on record and that can be shown: something is done at both ends."""
    done = frames.done.dropna(subset="upstream")
    there = set(frames.done["pair"])
    found: dict[str, dict[str, None]] = {}
    for pair, upstream in zip(done["pair"], done["upstream"].map(pair_of), strict=True):
        if upstream in there:
            found.setdefault(upstream, {})[pair] = None
    return [(upstream, tuple(downstream)) for upstream, downstream in found.items()]


def transfer(
    frames: Frames, *, upstream: str, downstream: Sequence[str], baseline: str = "baseline"
) -> tuple[Transfer, list[Finding]]:
    """Compare strategies upstream and downstream, with findings about the chains.

    A chain is a run on ``upstream`` and the runs on every pair of ``downstream`` that began with its
    weights; only whole chains count, whose runs are all matched with those of one whole chain of the
    baseline.  Raises ResultsError for a pair that has no run done, or began elsewhere.
    """
    _check(frames, upstream, downstream)
    matched = pair_runs(frames, baseline).merge(last_losses(frames), on="run_id", how="left")
    up = matched[matched["pair"] == upstream]
    links = [_link(matched, up, pair) for pair in downstream]
    whole = _whole_chains(up, links)
    unrecorded = [pair for pair, link in zip(downstream, links, strict=True) if link["upstream"].isna().any()]
    findings = [_unrecorded_finding(upstream, unrecorded)] if unrecorded else []
    rows = []
    for strategy in dict.fromkeys(up["strategy"]):
        complete = up[(up["strategy"] == strategy) & up["run_id"].isin(whole)]
        chain = [complete, *(link[_run_pairs(link, BEGINS).isin(_run_pairs(complete, RUNS))] for link in links)]
        ran = pd.concat([runs.loc[runs["strategy"] == strategy, ["run_id", "seed"]] for runs in (up, *links)])
        broken = ran[~ran["run_id"].isin(pd.concat([runs["run_id"] for runs in chain]))]
        if len(broken):
            seeds = sorted({int(seed) for seed in broken["seed"]})
            text = f"{upstream} / {strategy}: seeds {seeds} did not go all the way; left out"
            findings.append(note("transfer", text, about(upstream, strategy)))
        if len(complete):
            rows.append(_row(strategy, chain, is_baseline=strategy == baseline))
    return (
        Transfer(upstream=upstream, downstream=tuple(downstream), rows=tuple(rows), recorded=not unrecorded),
        findings,
    )


def _check(frames: Frames, upstream: str, downstream: Sequence[str]) -> None:
    there = sorted(set(frames.done["pair"]))
    for pair in (upstream, *downstream):
        if pair not in there:
            raise ResultsError(
                f"{frames.name}: no run of the pair {pair!r} is done; done are {', '.join(there)}",
                hint="--transfer takes UPSTREAM:DOWNSTREAM[,DOWNSTREAM], names of pairs",
            )
    began = frames.done.dropna(subset="upstream")
    for pair, run_id in zip(began["pair"], began["upstream"], strict=True):
        if pair in downstream and pair_of(run_id) != upstream:
            raise ResultsError(
                f"{frames.name}: the runs of {pair!r} began with weights of {pair_of(run_id)!r}, not of {upstream!r}",
                hint=f"chains on record are compared without --transfer; or --transfer {pair_of(run_id)}:{pair}",
            )


def last_losses(frames: Frames) -> pd.DataFrame:
    """The training losses of each run's last epoch [nat]."""
    last = last_phase(frames.epochs).drop_duplicates("run_id", keep="last")
    return last[["run_id", *LOSSES]]


def _link(matched: pd.DataFrame, up: pd.DataFrame, pair: str) -> pd.DataFrame:
    """The runs of a pair downstream, with those upstream that they (``begins``) and their baselines began with.

    They are taken from the record, and without one by strategy and seed.
    """
    by_seed = up.drop_duplicates(["strategy", "seed"])[["strategy", "seed", "run_id", "run_id_base"]]
    by_seed = by_seed.rename(columns={"run_id": "begins", "run_id_base": "begins_base"})
    own = matched[matched["pair"] == pair].merge(by_seed, on=["strategy", "seed"], how="left")
    on_record = own["upstream"].notna()
    return own.assign(
        begins=own["begins"].mask(on_record, own["upstream"]),
        begins_base=own["begins_base"].mask(on_record, own["upstream_base"]),
    ).drop_duplicates(BEGINS)


def _whole_chains(up: pd.DataFrame, links: Sequence[pd.DataFrame]) -> set[str]:
    """The runs upstream from which a chain goes to every pair downstream, beside one of the baseline."""
    whole = up
    for link in links:
        whole = whole[_run_pairs(whole, RUNS).isin(_run_pairs(link, BEGINS))]
    return set(whole["run_id"])


def _run_pairs(rows: pd.DataFrame, columns: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(rows[columns])


def _unrecorded_finding(upstream: str, downstream: Sequence[str]) -> Finding:
    text = (
        f"nothing on record says that the runs of {', '.join(downstream)} began from the weights of {upstream}; "
        "the transfer table takes your word for it"
    )
    return warning("transfer", text, [one for pair in (upstream, *downstream) for one in about(pair)])


def _row(strategy: str, chain: Sequence[pd.DataFrame], *, is_baseline: bool) -> TransferRow:
    up, clocked = chain[0], timed(chain[0])
    time = UNKNOWN if is_baseline else estimate_change(ratios(clocked, "total_train_s"))
    losses, smoothed = (up[name].astype(float).tolist() if up[name].notna().all() else [] for name in LOSSES)
    return TransferRow(
        strategy=strategy,
        seeds=len(up),
        upstream_loss=mean_of(losses),
        upstream_loss_sd=standard_deviation(losses),
        upstream_loss_smoothed=mean_of(smoothed),
        upstream_loss_smoothed_sd=standard_deviation(smoothed),
        upstream_s=geometric_mean_of(clocked["total_train_s"].tolist()),
        upstream_time_diff=time.mean,
        upstream_time_diff_ci=time.ci,
        upstream_time_diff_range=time.range,
        downstream=tuple(_downstream(link, is_baseline=is_baseline) for link in chain[1:]),
    )


def _downstream(runs: pd.DataFrame, *, is_baseline: bool) -> Downstream:
    final = UNKNOWN if is_baseline else estimate(differences(runs, "final_acc1"))
    return Downstream(
        pair=str(runs["pair"].iloc[0]),
        metric=metric_of(runs),
        acc_final=mean_of(runs["final_acc1"].tolist()),
        acc_final_sd=standard_deviation(runs["final_acc1"].tolist()),
        acc_final_diff=final.mean,
        acc_final_diff_ci=final.ci,
        acc_final_diff_range=final.range,
        acc_best=mean_of(runs["best_acc1"].tolist()),
    )
