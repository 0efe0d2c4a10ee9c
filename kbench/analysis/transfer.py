"""Training on one pair, then on others: what the upstream savings do to the downstream accuracy.

An experiment does not record chains yet, so that the runs downstream began from the weights of
those upstream is the user's word; the finding says so.
"""

from collections.abc import Sequence

import pandas as pd

from kbench.analysis.audit.finding import Finding, note, warning
from kbench.analysis.frame import Frames, last_phase
from kbench.analysis.interval import UNKNOWN, deviation, mean_of
from kbench.analysis.pairing import paired
from kbench.analysis.row import change, difference
from kbench.analysis.rows import Downstream, Transfer, TransferRow
from kbench.errors import ResultsError


def transfer(
    frames: Frames, *, upstream: str, downstream: Sequence[str], baseline: str = "baseline"
) -> tuple[Transfer, list[Finding]]:
    """Compare strategies upstream and downstream, and say what must be known about it.

    A chain is the runs of one strategy and seed on ``upstream`` and on every pair of
    ``downstream``; only whole chains whose runs all have a matched baseline count.
    Raises ResultsError for a pair that has no run done.
    """
    _check(frames, [upstream, *downstream])
    both = paired(frames, baseline)
    both = both.merge(_last_losses(frames), on="run_id", how="left")
    links = [both[both["pair"] == pair] for pair in (upstream, *downstream)]
    rows, findings = [], [warning("transfer", _word(upstream, downstream))]
    for strategy in dict.fromkeys(links[0]["strategy"]):
        own = [link[link["strategy"] == strategy] for link in links]
        whole = set(own[0]["seed"]).intersection(*(link["seed"] for link in own[1:]))
        broken = sorted(set().union(*(link["seed"] for link in own)) - whole)
        if broken:
            findings.append(
                note("transfer", f"{upstream} / {strategy}: seeds {broken} did not go all the way; left out")
            )
        if whole:
            chain = [link[link["seed"].isin(whole)] for link in own]
            rows.append(_row(strategy, chain, is_baseline=strategy == baseline))
    return Transfer(upstream=upstream, downstream=tuple(downstream), rows=tuple(rows)), findings


def _check(frames: Frames, pairs: Sequence[str]) -> None:
    there = sorted(set(frames.done["pair"]))
    for pair in pairs:
        if pair not in there:
            raise ResultsError(
                f"{frames.name}: no run of the pair {pair!r} is done; done are {', '.join(there)}",
                hint="--transfer takes UPSTREAM:DOWNSTREAM[,DOWNSTREAM], names of pairs",
            )


def _last_losses(frames: Frames) -> pd.DataFrame:
    """The training loss of each run's last epoch [nat]."""
    last = last_phase(frames.epochs).drop_duplicates("run_id", keep="last")
    return last[["run_id", "train_loss"]]


def _word(upstream: str, downstream: Sequence[str]) -> str:
    return (
        f"nothing on record says that the runs of {', '.join(downstream)} began from the weights of {upstream}; "
        "the transfer table takes your word for it"
    )


def _row(strategy: str, chain: Sequence[pd.DataFrame], *, is_baseline: bool) -> TransferRow:
    up = chain[0]
    time = UNKNOWN if is_baseline else change(up, "total_train_s")
    losses = up["train_loss"].astype(float).tolist()
    return TransferRow(
        strategy=strategy,
        seeds=len(up),
        upstream_loss=mean_of(losses),
        upstream_loss_sd=deviation(losses),
        upstream_s=mean_of(up["total_train_s"].tolist()),
        upstream_time_diff=time.mean,
        upstream_time_diff_ci=time.ci,
        upstream_time_diff_range=time.range,
        downstream=tuple(_downstream(link, is_baseline=is_baseline) for link in chain[1:]),
    )


def _downstream(runs: pd.DataFrame, *, is_baseline: bool) -> Downstream:
    final = UNKNOWN if is_baseline else difference(runs, "final_acc1")
    return Downstream(
        pair=str(runs["pair"].iloc[0]),
        acc_final=mean_of(runs["final_acc1"].tolist()),
        acc_final_sd=deviation(runs["final_acc1"].tolist()),
        acc_final_diff=final.mean,
        acc_final_diff_ci=final.ci,
        acc_final_diff_range=final.range,
        acc_best=mean_of(runs["best_acc1"].tolist()),
    )
