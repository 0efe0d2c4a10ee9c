"""What a strategy said that it would do, beside what it did."""

from collections.abc import Iterator, Sequence

import pandas as pd

from kbench.analysis.finding import Finding, note, on, warning
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Row

FAR_BELOW = 0.5  # of the share that a strategy allowed itself
MATERIAL = 1.05  # a learning rate scaled by less above what was hidden is not remarked on


def promises(frames: Frames, rows: Sequence[Row], both: pd.DataFrame) -> Iterator[Finding]:
    """Hold shares, learning rates and targets against what happened."""
    for row in rows:
        hidden, allowed = row.hidden_mean, row.hidden_ceiling
        if hidden is not None and allowed and hidden < FAR_BELOW * allowed:
            yield warning(
                "hidden",
                f"{row.pair} / {row.strategy} hid {100 * hidden:.1f} % of the samples of an epoch, where it allowed "
                f"itself {100 * allowed:.1f} %",
                on(row.pair, row.strategy),
            )
        for reach in row.targets:
            if reach.target is not None and reach.target <= 0 and row is rows[0]:
                text = f"{row.pair}: {reach.asked} is an error of 100 % or more; every run reaches it"
                yield note("target", text, on(row.pair))
    yield from _learning_rates(frames, both)


def _learning_rates(frames: Frames, both: pd.DataFrame) -> Iterator[Finding]:
    """Learning rates scaled up for samples that were not hidden."""
    epochs = frames.epochs[frames.epochs["run_id"].isin(both["run_id"])]
    left = 1 - epochs["n_hidden"].astype(float) / epochs["n_samples"].astype(float)
    scale = epochs["lr_scale"].astype(float)
    told = epochs.assign(scale=scale, owed=(1 / left).where(left > 0)).dropna(subset=["scale", "owed"])
    told = told[told["scale"] > 1]
    means = told.groupby(["pair", "strategy"], sort=False)[["scale", "owed"]].mean()
    for (pair, strategy), scale, owed in means.itertuples(name=None):
        if scale > MATERIAL * owed:
            yield warning(
                "lr-scale",
                f"{pair} / {strategy} multiplied its learning rate by {scale:.3f} on average where it did, what it "
                f"hid then asks for {owed:.3f}",
                on(pair, strategy),
            )
