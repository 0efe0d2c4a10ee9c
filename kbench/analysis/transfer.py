"""Training on one pair, then on others: what the upstream savings do to the downstream accuracy.

A run that began with another's weights has that run on record, and is matched by it.  Between pairs
without such a record a chain is the user's word, and is made of strategy and seed; the finding says so.
"""

from collections.abc import Sequence

import pandas as pd

from kbench.analysis.finding import Finding, note, on, warning
from kbench.analysis.frame import Frames, last_phase
from kbench.analysis.interval import UNKNOWN, deviation, mean_of
from kbench.analysis.pairing import pair_of, paired
from kbench.analysis.rows import Downstream, Transfer, TransferRow, change, difference, metric_of
from kbench.errors import ResultsError

BEGINS, RUNS = ["begins", "begins_base"], ["run_id", "run_id_base"]
Chain = tuple[str, Sequence[str]]  # a pair upstream, and those downstream


def recorded(frames: Frames) -> list[Chain]:
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
    """Compare strategies upstream and downstream, and say what must be known about it.

    A chain is a run on ``upstream`` and the runs on every pair of ``downstream`` that began with its
    weights; only whole chains count, whose runs are all matched with those of one whole chain of the
    baseline.  Raises ResultsError for a pair that has no run done, or began elsewhere.
    """
    _check(frames, upstream, downstream)
    both = paired(frames, baseline).merge(_last_losses(frames), on="run_id", how="left")
    up = both[both["pair"] == upstream]
    links = [_link(both, up, pair) for pair in downstream]
    whole = _whole(up, links)
    told = [pair for pair, link in zip(downstream, links, strict=True) if link["upstream"].isna().any()]
    findings = [_word(upstream, told)] if told else []
    rows = []
    for strategy in dict.fromkeys(up["strategy"]):
        kept = up[(up["strategy"] == strategy) & up["run_id"].isin(whole)]
        parts = [kept, *(link[_couples(link, BEGINS).isin(_couples(kept, RUNS))] for link in links)]
        ran = pd.concat([part.loc[part["strategy"] == strategy, ["run_id", "seed"]] for part in (up, *links)])
        broken = ran[~ran["run_id"].isin(pd.concat([part["run_id"] for part in parts]))]
        if len(broken):
            seeds = sorted({int(seed) for seed in broken["seed"]})
            text = f"{upstream} / {strategy}: seeds {seeds} did not go all the way; left out"
            findings.append(note("transfer", text, on(upstream, strategy)))
        if len(kept):
            rows.append(_row(strategy, parts, is_baseline=strategy == baseline))
    return Transfer(upstream=upstream, downstream=tuple(downstream), rows=tuple(rows), recorded=not told), findings


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


def _last_losses(frames: Frames) -> pd.DataFrame:
    """The training loss of each run's last epoch [nat]."""
    last = last_phase(frames.epochs).drop_duplicates("run_id", keep="last")
    return last[["run_id", "train_loss"]]


def _link(both: pd.DataFrame, up: pd.DataFrame, pair: str) -> pd.DataFrame:
    """The runs of a pair downstream; ``begins`` and ``begins_base`` are those upstream that they and theirs began with.

    By their record, and without one by strategy and seed.
    """
    by_seed = up.drop_duplicates(["strategy", "seed"])[["strategy", "seed", "run_id", "run_id_base"]]
    by_seed = by_seed.rename(columns={"run_id": "begins", "run_id_base": "begins_base"})
    own = both[both["pair"] == pair].merge(by_seed, on=["strategy", "seed"], how="left")
    on_record = own["upstream"].notna()
    return own.assign(
        begins=own["begins"].mask(on_record, own["upstream"]),
        begins_base=own["begins_base"].mask(on_record, own["upstream_base"]),
    ).drop_duplicates(BEGINS)


def _whole(up: pd.DataFrame, links: Sequence[pd.DataFrame]) -> set[str]:
    """The runs upstream from which a chain goes to every pair downstream, beside one of the baseline."""
    whole = up
    for link in links:
        whole = whole[_couples(whole, RUNS).isin(_couples(link, BEGINS))]
    return set(whole["run_id"])


def _couples(rows: pd.DataFrame, columns: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(rows[columns])


def _word(upstream: str, downstream: Sequence[str]) -> Finding:
    text = (
        f"nothing on record says that the runs of {', '.join(downstream)} began from the weights of {upstream}; "
        "the transfer table takes your word for it"
    )
    return warning("transfer", text, [one for pair in (upstream, *downstream) for one in on(pair)])


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
        metric=metric_of(runs),
        acc_final=mean_of(runs["final_acc1"].tolist()),
        acc_final_sd=deviation(runs["final_acc1"].tolist()),
        acc_final_diff=final.mean,
        acc_final_diff_ci=final.ci,
        acc_final_diff_range=final.range,
        acc_best=mean_of(runs["best_acc1"].tolist()),
    )
