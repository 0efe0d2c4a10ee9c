"""What a reader must know before believing a comparison."""

from collections.abc import Iterator, Sequence

from kbench.analysis.frame import Frames
from kbench.analysis.interval import FEWEST
from kbench.analysis.rows import Row


def too_few(rows: Sequence[Row]) -> Iterator[str]:
    """Rows whose seeds are too few for an interval."""
    few: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        if row.seeds < FEWEST:
            few.setdefault((row.pair, row.seeds), []).append(row.strategy)
    for (pair, n), strategies in few.items():
        yield f"{pair}: {', '.join(strategies)}: {n} matched seed{'s' * (n > 1)}, and intervals take {FEWEST}"


def too_good(rows: Sequence[Row]) -> Iterator[str]:
    """Savings that the samples cannot explain: beyond chance, or perhaps by chance."""
    lucky: dict[str, list[str]] = {}
    for row in rows:
        if row.time_diff is None or row.time_ceiling is None or row.time_diff >= row.time_ceiling:
            continue
        if row.time_diff_ci and row.time_diff_ci[1] < row.time_ceiling:
            yield (
                f"{row.pair} / {row.strategy}: its time changed by {100 * row.time_diff_ci[1]:+.1f} % or less, "
                f"its samples explain {100 * row.time_ceiling:+.1f} %; its steps were cheaper than the "
                "baseline's: do not believe it"
            )
        else:
            lucky.setdefault(row.pair, []).append(row.strategy)
    for pair, strategies in lucky.items():
        yield (
            f"{pair}: {', '.join(strategies)} took less time than the samples explain (at best), within chance; "
            "the baseline's runs may have been slow: more seeds or a quieter machine would tell"
        )


def unmatched(frames: Frames, baseline: str) -> Iterator[str]:
    """Runs that are left out, and pairs whose runs were not made alike."""
    open_runs = frames.runs[frames.runs["state"] != "done"]
    for _, run in open_runs.iterrows():
        why = f": {run['error']}" if isinstance(run["error"], str) else ""
        yield f"{run['run_id']} is {run['state']}{why}; not in the table"
    done = frames.done
    for (pair, strategy), own in done.groupby(["pair", "strategy"], sort=False):
        base = done[(done["pair"] == pair) & (done["strategy"] == baseline)]
        alone = sorted(own[~own["match_key"].isin(base["match_key"])]["seed"])
        if alone and not base.empty:
            yield f"{pair} / {strategy}: seeds {alone} have no matched baseline; left out"
    for pair in done["pair"].unique():
        own = done[done["pair"] == pair]
        for column in ("device_name", "hosts", "torch_version", "threads_per_rank", "commit", "max_parallel"):
            values = sorted({str(v) for v in own[column].dropna().convert_dtypes()})
            if len(values) > 1:
                yield f"{pair}: runs differ in {column} ({', '.join(values)}); their times are not matched"
        if (own["max_parallel"] > 1).any():
            yield f"{pair}: up to {own['max_parallel'].max():g} runs shared the machine; cpu_s is steadier than train_s"
        if own["dirty"].eq(True).any():
            yield f"{pair}: made with uncommitted changes in kbench's source"
