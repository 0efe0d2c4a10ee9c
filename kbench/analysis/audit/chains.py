"""Whether runs that began with the weights of other runs began with weights that can be compared."""

from collections.abc import Iterator

import pandas as pd

from kbench.analysis.audit.conditions import listed
from kbench.analysis.finding import Finding, about, warning
from kbench.analysis.frame import Frames

WEIGHTS_DEPEND_ON = ("commit", "torch_version", "device_name", "n_devices", "dataset_identity")
CLOCK_SKEW = pd.Timedelta(seconds=60)  # of two nodes, at most


def chains(frames: Frames, baseline: str, matched: pd.DataFrame) -> Iterator[Finding]:
    """Check the runs that the ``matched`` runs began with, beside those of their baselines."""
    began = matched[matched["upstream"].notna()]
    if began.empty:
        return
    runs = frames.runs.drop_duplicates("run_id").set_index("run_id")
    yield from _upstream_not_done(began, runs)
    yield from _upstream_retrained(began, runs)
    others = began[began["run_id"] != began["run_id_base"]]
    for pair, own in others.groupby("pair", sort=False):
        yield from _trained_otherwise(str(pair), own, runs, baseline)
        yield from _equal_weights(str(pair), own, runs, baseline)


def _upstream_not_done(began: pd.DataFrame, runs: pd.DataFrame) -> Iterator[Finding]:
    """Runs whose upstream is not there as done: nobody knows what made their weights."""
    states = runs["state"].to_dict()
    for (pair, strategy), own in began.groupby(["pair", "strategy"], sort=False):
        state_of = {run: states.get(run, "not among the results") for run in own["upstream"]}
        lost = [f"{run} is {state}" for run, state in state_of.items() if state != "done"]
        if lost:
            text = f"{pair} / {strategy} began with weights of runs that are not done: {'; '.join(lost)}"
            yield warning("chain", text, about(pair, strategy))


def _upstream_retrained(began: pd.DataFrame, runs: pd.DataFrame) -> Iterator[Finding]:
    """Runs whose upstream ended after they had begun: it was trained once more since."""
    started = began["run_id"].map(runs["started_at"])
    ended = began["upstream"].map(runs["ended_at"])
    late = began[(pd.to_datetime(ended, utc=True) - pd.to_datetime(started, utc=True)) > CLOCK_SKEW]
    for (pair, strategy), own in late.groupby(["pair", "strategy"], sort=False):
        seeds = sorted({int(seed) for seed in own["seed"]})
        text = (
            f"{pair} / {strategy}: seeds {seeds} began before the run upstream that is on record ended; that one was "
            "trained once more since, and they began with other weights"
        )
        yield warning("chain", text, about(pair, strategy))


def _trained_otherwise(pair: str, own: pd.DataFrame, runs: pd.DataFrame, baseline: str) -> Iterator[Finding]:
    """Weights that were trained with other code, versions or machines than the baseline's."""
    differ, strategies = [], dict[str, None]()
    for column in WEIGHTS_DEPEND_ON:
        values, base = own["upstream"].map(runs[column]), own["upstream_base"].map(runs[column])
        differs = values.notna() & base.notna() & (values.astype(str) != base.astype(str))
        if differs.any():
            differ.append(f"{column} ({listed([*values[differs], *base[differs]])})")
            strategies |= dict.fromkeys(own["strategy"][differs])
    if differ:
        text = (
            f"{pair}: the weights that {', '.join(strategies)} and {baseline} began with were trained with different "
            f"{', '.join(differ)}; downstream differences may come from there"
        )
        yield warning("chain", text, about(pair, *strategies))


def _equal_weights(pair: str, own: pd.DataFrame, runs: pd.DataFrame, baseline: str) -> Iterator[Finding]:
    """Weights that are the baseline's, though another run is said to have trained them."""
    digests, base = own["run_id"].map(runs["weights_digest"]), own["run_id_base"].map(runs["weights_digest"])
    same = own[digests.notna() & (digests == base)]
    for strategy, found in same.groupby("strategy", sort=False):
        seeds = sorted({int(seed) for seed in found["seed"]})
        text = (
            f"{pair} / {strategy}: seeds {seeds} began with the very weights of {baseline}; upstream the two trained "
            "exactly alike, or the chain is not what it says"
        )
        yield warning("chain", text, about(pair, strategy))
