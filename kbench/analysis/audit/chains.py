"""Whether what began with the weights of other runs began with weights that can be compared."""

from collections.abc import Iterator

import pandas as pd

from kbench.analysis.audit.instruments import listed
from kbench.analysis.finding import Finding, on, warning
from kbench.analysis.frame import Frames

MADE_WITH = ("commit", "torch_version", "device_name", "n_devices", "dataset_identity")  # what weights depend on
APART = pd.Timedelta(seconds=60)  # clocks of two nodes may be, at most


def chains(frames: Frames, baseline: str, both: pd.DataFrame) -> Iterator[Finding]:
    """Look at the runs that the matched runs ``both`` began with, beside those of their baselines."""
    began = both[both["upstream"].notna()]
    if began.empty:
        return
    runs = frames.runs.drop_duplicates("run_id").set_index("run_id")
    yield from _gone(began, runs)
    yield from _made_anew(began, runs)
    others = began[began["run_id"] != began["run_id_base"]]
    for pair, own in others.groupby("pair", sort=False):
        yield from _made_otherwise(str(pair), own, runs, baseline)
        yield from _alike(str(pair), own, runs, baseline)


def _gone(began: pd.DataFrame, runs: pd.DataFrame) -> Iterator[Finding]:
    """Runs whose upstream is not there as done: nobody knows what made their weights."""
    states = runs["state"].to_dict()
    for (pair, strategy), own in began.groupby(["pair", "strategy"], sort=False):
        told = {run: states.get(run, "not among the results") for run in own["upstream"]}
        lost = [f"{run} is {state}" for run, state in told.items() if state != "done"]
        if lost:
            text = f"{pair} / {strategy} began with weights of runs that are not done: {'; '.join(lost)}"
            yield warning("chain", text, on(pair, strategy))


def _made_anew(began: pd.DataFrame, runs: pd.DataFrame) -> Iterator[Finding]:
    """Runs whose upstream ended after they had begun: it was trained once more since."""
    started = began["run_id"].map(runs["started_at"])
    ended = began["upstream"].map(runs["ended_at"])
    late = began[(pd.to_datetime(ended, utc=True) - pd.to_datetime(started, utc=True)) > APART]
    for (pair, strategy), own in late.groupby(["pair", "strategy"], sort=False):
        seeds = sorted({int(seed) for seed in own["seed"]})
        text = (
            f"{pair} / {strategy}: seeds {seeds} began before the run upstream that is on record ended; that one was "
            "trained once more since, and they began with other weights"
        )
        yield warning("chain", text, on(pair, strategy))


def _made_otherwise(pair: str, own: pd.DataFrame, runs: pd.DataFrame, baseline: str) -> Iterator[Finding]:
    """Weights that were trained with other code, versions or machines than the baseline's."""
    differ, who = [], dict[str, None]()
    for column in MADE_WITH:
        ours, theirs = own["upstream"].map(runs[column]), own["upstream_base"].map(runs[column])
        apart = ours.notna() & theirs.notna() & (ours.astype(str) != theirs.astype(str))
        if apart.any():
            differ.append(f"{column} ({listed([*ours[apart], *theirs[apart]])})")
            who |= dict.fromkeys(own["strategy"][apart])
    if differ:
        text = (
            f"{pair}: the weights that {', '.join(who)} and {baseline} began with were trained with different "
            f"{', '.join(differ)}; downstream differences may come from there"
        )
        yield warning("chain", text, on(pair, *who))


def _alike(pair: str, own: pd.DataFrame, runs: pd.DataFrame, baseline: str) -> Iterator[Finding]:
    """Weights that are the baseline's, though another run is said to have trained them."""
    ours, theirs = own["run_id"].map(runs["weights_digest"]), own["run_id_base"].map(runs["weights_digest"])
    same = own[ours.notna() & (ours == theirs)]
    for strategy, found in same.groupby("strategy", sort=False):
        seeds = sorted({int(seed) for seed in found["seed"]})
        text = (
            f"{pair} / {strategy}: seeds {seeds} began with the very weights of {baseline}; upstream the two trained "
            "exactly alike, or the chain is not what it says"
        )
        yield warning("chain", text, on(pair, strategy))
