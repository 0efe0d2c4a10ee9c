"""A comparison as text for people."""

from collections.abc import Iterator, Sequence

from kbench.analysis.interval import Bounds
from kbench.analysis.rows import Comparison, Reach, Row

NONE = "-"


def text(comparison: Comparison) -> str:
    """The diff table of each pair, its targets, and what must be said about them."""
    blocks = []
    for pair in dict.fromkeys(row.pair for row in comparison.rows):
        rows = [row for row in comparison.rows if row.pair == pair]
        blocks.append(f"{comparison.experiment}: {pair}, compared with {comparison.baseline}")
        blocks.append(aligned(list(_accuracy_and_time(rows))))
        if any(row.targets for row in rows):
            blocks.append(aligned(list(_targets(rows))))
    blocks.append(
        "Differences are paired by seed; brackets are 95 % intervals (Student's t).  acc: top-1 [%];\n"
        "diff: of the best [points]; time: change of training time, every cost included; at best: what\n"
        "the samples trained, scored and refreshed would cost if nothing else did; hidden: mean share of the\n"
        "samples that an epoch's plan leaves out; looked at: forward passes to select and to refresh."
    )
    if comparison.warnings:
        blocks.append("\n".join(f"note: {warning}" for warning in comparison.warnings))
    return "\n\n".join(blocks)


def _accuracy_and_time(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    yield (
        "strategy", "seeds", "best acc", "final", "diff", "", "train s", "time", "", "at best", "hidden",
        "trained", "looked at",
    )  # fmt: skip
    for row in rows:
        spread = "" if row.acc_best_sd is None else f" ±{100 * row.acc_best_sd:.2f}"
        yield (
            row.strategy,
            str(row.seeds),
            f"{100 * row.acc_best:.2f}{spread}",
            f"{100 * row.acc_final:.2f}",
            _signed(row.acc_diff, ".2f"),
            _bounds(row.acc_diff_ci, "+.2f"),
            f"{row.train_s:.2f}",
            _signed(row.time_diff, ".1f", " %"),
            _bounds(row.time_diff_ci, "+.1f"),
            _signed(row.time_ceiling, ".1f", " %"),
            f"{100 * row.hidden_mean:.1f} %",
            f"{row.n_trained:,}",
            f"{row.n_scored + row.n_refreshed:,}",
        )


def _targets(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    header = ["time to"]
    for reach in rows[0].targets:
        header += [f"{100 * reach.target:g} %", "speed-up", ""]
    yield tuple(header)
    for row in rows:
        cells = [row.strategy]
        for reach in row.targets:
            cells += [_seconds(reach, row.seeds), *_speedup(reach)]
        yield tuple(cells)


def _seconds(reach: Reach, seeds: int) -> str:
    if reach.seconds is None:
        return f"not reached ({reach.reached} of {seeds})"
    return f"{reach.seconds:.2f} s"


def _speedup(reach: Reach) -> tuple[str, str]:
    if reach.speedup is None:
        return NONE, ""
    return f"{reach.speedup:.2f}x", (
        f"[{reach.speedup_ci[0]:.2f}, {reach.speedup_ci[1]:.2f}]" if reach.speedup_ci else ""
    )


def _signed(value: float | None, form: str, unit: str = "") -> str:
    return NONE if value is None else f"{100 * value:+{form}}{unit}"


def _bounds(bounds: Bounds, form: str) -> str:
    return f"[{100 * bounds[0]:{form}}, {100 * bounds[1]:{form}}]" if bounds else ""


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns under one another: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)
