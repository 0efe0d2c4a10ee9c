"""Whether times, hidden shares and learning rates fit what was done with the samples."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.frame import Frames
from kbench.analysis.interval import estimate, estimate_change
from kbench.analysis.multiple_testing import ALPHA, holm
from kbench.analysis.pairing import ratios, timed
from kbench.analysis.rows import Row

LONGER_STEP = 0.05  # a step of the baseline that is longer by less is not remarked on
FAR_BELOW = 0.5  # of the share that a strategy allowed itself
HIGHER_RATE = 1.05  # a learning rate scaled by less above what was hidden is not remarked on


def plausibility(frames: Frames, rows: Sequence[Row], matched: pd.DataFrame) -> Iterator[Finding]:
    """Hold times, hidden shares and learning rates against the samples; ``matched`` are the paired runs of ``rows``."""
    yield from plausibility_of_times(rows, matched)
    yield from _first_touches(rows)
    yield from _fewer_draws(frames, rows, matched)
    yield from _slow_baseline(matched)
    yield from _background_work(rows)
    yield from _hidden_shares(rows)
    yield from _learning_rates(frames, matched)


def plausibility_of_times(rows: Sequence[Row], matched: pd.DataFrame) -> Iterator[Finding]:
    """Savings that the samples cannot explain: beyond chance among all strategies of a pair (Holm), or within it."""
    for pair in dict.fromkeys(row.pair for row in rows):
        own = [
            row for row in rows if row.pair == pair and row.time_diff is not None and row.ideal_time_change is not None
        ]
        runs = dict(iter(matched[matched["pair"] == pair].groupby("strategy")))
        tested = {row.strategy: _excess(row, ratios(timed(runs[row.strategy]), "total_train_s")) for row in own}
        adjusted = dict(zip(tested, holm([p for _, p in tested.values()]), strict=True))
        by_chance = []
        for row in own:
            assert row.time_diff is not None and row.ideal_time_change is not None
            at_most, _ = tested[row.strategy]
            p = adjusted[row.strategy]
            if p is not None and p < ALPHA:
                yield warning(
                    "ceiling",
                    f"{pair} / {row.strategy}: its time changed by {100 * at_most:+.1f} % or less (95 %), its samples "
                    f"explain {100 * row.ideal_time_change:+.1f} %; its steps were cheaper than the baseline's, beyond "
                    f"chance among {len(own)} strategies (Holm): do not believe it",
                    about(pair, row.strategy),
                )
            elif row.time_diff < row.ideal_time_change:
                by_chance.append(row.strategy)
        if by_chance:
            yield note(
                "ceiling",
                f"{pair}: {', '.join(by_chance)} took less time than the samples explain (at best), within chance; "
                "the baseline's runs may have been slow: more seeds or a quieter machine would tell",
                about(pair, *by_chance),
            )


def _excess(row: Row, times: Sequence[float]) -> tuple[float, float | None]:
    """The most that the time changed by, and the p-value that it changed by no more than the samples explain."""
    found = estimate([-math.log(ratio) for ratio in times])
    ideal = 1 + (row.ideal_time_change or 0.0)
    p = found.p_above(-math.log(ideal)) if ideal > 0 else None
    return (math.expm1(-found.at_least) if found.at_least is not None else math.nan), p


def _slow_baseline(matched: pd.DataFrame) -> Iterator[Finding]:
    """A baseline whose steps took longer than those of all others: one number per seed, so one test per pair."""
    matched = timed(matched)
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


def _first_touches(rows: Sequence[Row]) -> Iterator[Finding]:
    """Targets whose touch favours the shorter epochs."""
    for pair in dict.fromkeys(row.pair for row in rows):
        own = [row for row in rows if row.pair == pair and any(target.withheld for target in row.targets)]
        if own:
            names = [row.strategy for row in own]
            target = next(target for target in own[0].targets if target.withheld)
            yield note(
                "target",
                f"{pair}: {', '.join(names)}: epochs are not about as long as the baseline's, and the touch of a "
                "target favours the shorter ones: no interval; "
                f"--target '{target.requested.partition(':')[0]}:clock' looks at both at the same times",
                about(pair, *names),
            )


def _fewer_draws(frames: Frames, rows: Sequence[Row], matched: pd.DataFrame) -> Iterator[Finding]:
    """Best epochs picked from other numbers of epochs than the baseline's."""
    epochs = frames.runs.drop_duplicates("run_id").set_index("run_id")["epochs_done"].astype(float)
    own, base = matched["run_id"].map(epochs), matched["run_id_base"].map(epochs)
    differ = matched.assign(own=own, base=base)[(own != base) & own.notna() & base.notna()]
    compared = {(row.pair, row.strategy) for row in rows if row.acc_diff is not None}
    found: dict[tuple[str, str], list[str]] = {}
    for (pair, strategy), runs in differ.groupby(["pair", "strategy"], sort=False):
        if (pair, strategy) in compared:
            n_own, n_base = runs["own"].mean(), runs["base"].mean()
            key = (str(pair), "fewer" if n_own < n_base else "more")
            found.setdefault(key, []).append(f"{strategy} ({n_own:g} epochs, the baseline {n_base:g})")
    for (pair, word), names in found.items():
        yield note(
            "best-epoch",
            f"{pair}: the best epoch of {', '.join(names)} is picked from {word} than the baseline's; "
            "the final accuracy is what is compared",
            about(pair, *(name.partition(" (")[0] for name in names)),
        )
