"""How much the seeds can tell, and how many questions were put to them."""

from collections.abc import Iterator, Sequence

from kbench.analysis.finding import Finding, note, on
from kbench.analysis.interval import FEWEST
from kbench.analysis.rows import Row
from kbench.records.schema import noun

ALPHA = 0.05


def precision(baseline: str, rows: Sequence[Row]) -> Iterator[Finding]:
    """Name rows of too few seeds, and what several comparisons do to 95 %."""
    few: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        if row.seeds < FEWEST:
            few.setdefault((row.pair, row.seeds), []).append(row.strategy)
    for (pair, n), strategies in few.items():
        told = "no interval, no range" if n == 1 else "the range of the two is given, which is no interval"
        text = f"{pair}: {', '.join(strategies)}: {n} matched seed{'s' * (n > 1)}: {told}; intervals take {FEWEST}"
        yield note("seeds", text, on(pair, *strategies))
    for pair in dict.fromkeys(row.pair for row in rows):
        own = [row for row in rows if row.pair == pair and row.strategy != baseline]
        if len(own) > 1 and any(row.ci_method for row in own):
            yield note("several", f"{pair}: {_several(baseline, own)}", on(pair))


def _several(baseline: str, rows: Sequence[Row]) -> str:
    accuracy = [row.strategy for row in rows if row.acc_diff_p_holm is not None and row.acc_diff_p_holm < ALPHA]
    time = [row.strategy for row in rows if row.time_diff_p_holm is not None and row.time_diff_p_holm < ALPHA]
    name = noun(rows[0].metric)
    chance = min(100, round(100 * ALPHA * len(rows)))
    return (
        f"{len(rows)} strategies are compared with {baseline}: up to {chance} % that chance alone makes one of the "
        f"{len(rows)} intervals of time miss its truth, and as much for {name}; with all taken together (Holm, 5 %), "
        f"best {name} differs for {', '.join(accuracy) or 'none'}, time for {', '.join(time) or 'none'}"
    )
