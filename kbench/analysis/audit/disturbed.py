"""Runs whose times were disturbed, with the figures that show it, and what became of their times."""

from collections.abc import Iterator, Sequence

from kbench.analysis.finding import Finding, about, warning
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Row

AGAIN = "kbench run --redo disturbed trains them again"


def disturbed_findings(frames: Frames, rows: Sequence[Row]) -> Iterator[Finding]:
    """Name each disturbed run, and the strategies of which no time is left."""
    keeps = frames.keep_disturbed
    instead = (
        "its time counts all the same (--keep-disturbed)" if keeps else "its time is left out, its accuracy counts"
    )
    for run in frames.disturbed.values():
        yield warning("disturbed", f"{run.pair}: {run.text}; {instead}", about(run.pair, run.strategy))
    for pair in dict.fromkeys(row.pair for row in rows):
        without = [row.strategy for row in rows if row.pair == pair and not row.timed_seeds]
        if without:
            text = f"{pair}: no time of {', '.join(without)} is left: each seed has a disturbed run"
            yield warning("disturbed", f"{text}; {AGAIN}, --keep-disturbed shows the times", about(pair, *without))


def times_note(disturbed: Sequence[str], rows: Sequence[Row], *, keeps: bool) -> str:
    """What a table or figure says of the times of disturbed runs; nothing where there are none.

    Args:
        disturbed: Names of the runs, as in ``iswr s0``.
        rows: Of the same pairs.
        keeps: Whether their times are shown.
    """
    if not disturbed:
        return ""
    names = ", ".join(disturbed)
    if keeps:
        return f"Times of disturbed runs are among these (--keep-disturbed): {names}."
    fewer = [f"{row.strategy} {row.timed_seeds} of {row.seeds}" for row in rows if row.timed_seeds < row.seeds]
    seeds = f" Seeds with times of both: {', '.join(fewer)}." if fewer else ""
    return f"Times of disturbed runs are left out, accuracies are not: {names}.{seeds}"
