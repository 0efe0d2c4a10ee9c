"""Whether times, hidden shares and learning rates fit what was done with the samples."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.frame import Frames
from kbench.analysis.interval import estimate_change
from kbench.analysis.rows import Row

LONGER_STEP = 0.05  # a step of the baseline that is longer by less is not remarked on
FAR_BELOW = 0.5  # of the share that a strategy allowed itself
HIGHER_RATE = 1.05  # a learning rate scaled by less above what was hidden is not remarked on


def plausibility(frames: Frames, rows: Sequence[Row], matched: pd.DataFrame) -> Iterator[Finding]:
    """Hold times, hidden shares and learning rates against the samples; ``matched`` are the paired runs of ``rows``."""
    yield from _too_fast(rows)
    yield from _slow_baseline(matched)
    yield from _background_work(rows)
    yield from _hidden_shares(rows)
    yield from _learning_rates(frames, matched)


def _too_fast(rows: Sequence[Row]) -> Iterator[Finding]:
    """Savings that the samples cannot explain: beyond chance, or perhaps by chance."""
    by_chance: dict[str, list[str]] = {}
    for row in rows:
        if row.time_diff is None or row.ideal_time_change is None or row.time_diff >= row.ideal_time_change:
            continue
        if row.time_diff_ci and row.time_diff_ci[1] < row.ideal_time_change:
            yield warning(
                "ceiling",
                f"{row.pair} / {row.strategy}: its time changed by {100 * row.time_diff_ci[1]:+.1f} % or less, "
                f"its samples explain {100 * row.ideal_time_change:+.1f} %; its steps were cheaper than the "
                "baseline's: do not believe it",
                about(row.pair, row.strategy),
            )
        else:
            by_chance.setdefault(row.pair, []).append(row.strategy)
    for pair, strategies in by_chance.items():
        yield note(
            "ceiling",
            f"{pair}: {', '.join(strategies)} took less time than the samples explain (at best), within chance; "
            "the baseline's runs may have been slow: more seeds or a quieter machine would tell",
            about(pair, *strategies),
        )


def _slow_baseline(matched: pd.DataFrame) -> Iterator[Finding]:
    """A baseline whose steps took longer than those of all others: one number per seed, so one test per pair."""
    step = sum(matched[f"{part}_s"] for part in ("forward", "backward", "update")) / matched["n_trained"]
    base = sum(matched[f"{part}_s_base"] for part in ("forward", "backward", "update")) / matched["n_trained_base"]
    ratio = pd.Series(base / step).where(lambda r: (r > 0) & np.isfinite(r))
    others = matched.assign(ratio=np.log(ratio))[matched["run_id"] != matched["run_id_base"]]
    for pair, own in others.groupby("pair", sort=False):
        per_seed = own.groupby("match_key")["ratio"].mean()
        found = estimate_change(np.exp(per_seed).tolist())
        if found.mean is not None and found.ci and found.ci[0] > 0 and found.mean > LONGER_STEP:
            low, high = (100 * bound for bound in found.ci)
            yield warning(
                "slow-baseline",
                f"{pair}: the baseline took {100 * found.mean:.1f} % longer per trained sample (forward, backward, "
                f"update) than the others, 95 % interval {low:.1f} to {high:.1f}; savings may come from there",
                about(pair),
            )


def _background_work(rows: Sequence[Row]) -> Iterator[Finding]:
    """Work on another thread or stream, which the table of times does not count."""
    for row in rows:
        seconds = row.time_parts["background"].seconds
        if seconds:
            yield warning(
                "background",
                f"{row.pair} / {row.strategy} worked {seconds:.3g} s a run beside training, on another thread or "
                "stream; that is not in its training time",
                about(row.pair, row.strategy),
            )


def _hidden_shares(rows: Sequence[Row]) -> Iterator[Finding]:
    """Strategies that hid far less than they allowed themselves, and targets that every run reaches."""
    for row in rows:
        hidden, allowed = row.hidden_mean, row.hidden_ceiling
        if hidden is not None and allowed and hidden < FAR_BELOW * allowed:
            yield warning(
                "hidden",
                f"{row.pair} / {row.strategy} hid {100 * hidden:.1f} % of the samples of an epoch, where it allowed "
                f"itself {100 * allowed:.1f} %",
                about(row.pair, row.strategy),
            )
        for target in row.targets:
            if target.target is not None and target.target <= 0 and row is rows[0]:
                text = f"{row.pair}: {target.requested} is an error of 100 % or more; every run reaches it"
                yield note("target", text, about(row.pair))


def _learning_rates(frames: Frames, matched: pd.DataFrame) -> Iterator[Finding]:
    """Learning rates scaled up for samples that were not hidden."""
    epochs = frames.epochs[frames.epochs["run_id"].isin(matched["run_id"])]
    left = 1 - epochs["n_hidden"].astype(float) / epochs["n_samples"].astype(float)
    scale = epochs["lr_scale"].astype(float)
    scaled = epochs.assign(scale=scale, owed=(1 / left).where(left > 0)).dropna(subset=["scale", "owed"])
    scaled = scaled[scaled["scale"] > 1]
    means = scaled.groupby(["pair", "strategy"], sort=False)[["scale", "owed"]].mean()
    for (pair, strategy), scale, owed in means.itertuples(name=None):
        if scale > HIGHER_RATE * owed:
            yield warning(
                "lr-scale",
                f"{pair} / {strategy} multiplied its learning rate by {scale:.3f} on average where it did, what it "
                f"hid then asks for {owed:.3f}",
                about(pair, strategy),
            )
