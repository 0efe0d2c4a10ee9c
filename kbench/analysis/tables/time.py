"""The tables of time: to a target, and where it went."""

from collections.abc import Iterator, Sequence

from kbench.analysis.rows import Reach, Row
from kbench.analysis.tables.cells import interval, number, seconds
from kbench.analysis.tables.model import NONE, Cell, Line, Number, Table

TARGET_NOTES = (
    "Time to a target: the end of the first epoch at or above it, nothing interpolated, mean over seeds. speed-up: "
    "the baseline's time over this one's, paired by seed, geometric mean, where all runs of both reached it.",
    "A run that ended short of the target never reached it: with one, there is no mean (from six seeds on JSON has "
    "the median, where it counts as 0). >=: only the baseline fell short; its total time counts.",
)
ERROR_NOTE = "final*K: K times the baseline's mean final error on the pair; the accuracy meant is in parentheses."
PARTS_NOTES = (
    "Seconds of a run over all its phases, mean over seeds, and share of the training time; beside (work on another "
    "thread or stream), eval and stage (copying data to the node) are not on that clock; total: training, eval and "
    "stage together; -: not known, or nothing was staged.",
)


def targets(rows: Sequence[Row]) -> Table:
    """How fast each target was reached, on one pair."""
    header = ["time to"]
    for reach in rows[0].targets:
        header += [_asked(reach), "speed-up", ""]
    lines = [Line(row.pair, row.strategy, tuple(_reaches(row))) for row in rows]
    relative = any(reach.asked.startswith("final") for reach in rows[0].targets)
    notes = (*TARGET_NOTES, ERROR_NOTE) if relative else TARGET_NOTES
    return Table("targets", f"{rows[0].pair}: time to target", tuple(header), tuple(lines), notes)


def parts(rows: Sequence[Row]) -> Table:
    """Where the time of each strategy went, on one pair; without a column for staging where nothing was staged."""
    staged = any(row.stage_s is not None for row in rows)
    names = [name for name in rows[0].time_parts if staged or name != "stage"]
    lines = [Line(row.pair, row.strategy, tuple(_parts(row, names))) for row in rows]
    return Table("parts", f"{rows[0].pair}: where the time went", ("seconds", *names), tuple(lines), PARTS_NOTES)


def _asked(reach: Reach) -> str:
    percent = NONE if reach.target is None else f"{100 * reach.target:.4g} %"
    return f"{reach.asked} ({percent})" if reach.asked.startswith("final") else percent


def _reaches(row: Row) -> Iterator[Cell]:
    for reach in row.targets:
        key = f"target_{reach.asked}"
        reached = number(f"{key}_reached", reach.reached, "d")
        spent = seconds(f"{key}_seconds", reach.seconds)
        text = f"{spent.text} s"
        if reach.seconds is None:
            unknown = reach.reached in (None, row.seeds)  # or reached at a time that nobody wrote down
            text = NONE if unknown else f"not reached ({reached.text} of {row.seeds})"
        yield Cell(text, (number(f"{key}_accuracy", reach.target, ".6g"), reached, spent))
        yield _speedup(reach, key)
        yield _speedup_interval(reach, key)


def _speedup(reach: Reach, key: str) -> Cell:
    mean = number(f"{key}_speedup", reach.speedup, ".2f")
    least = number(f"{key}_speedup_at_least", reach.speedup_at_least, ".2f")
    median = number(f"{key}_speedup_median", reach.speedup_median, ".2f")
    text = NONE
    if reach.speedup is not None:
        text = f"{mean.text}x"
    elif reach.speedup_at_least is not None:
        text = f">={least.text}x"
    return Cell(text, (mean, least, median))


def _speedup_interval(reach: Reach, key: str) -> Cell:
    shown = interval(f"{key}_speedup", reach.speedup_ci, reach.speedup_range, ".2f", scale=1)
    low, high = reach.speedup_median_ci or (None, None)
    ends = number(f"{key}_speedup_median_ci_low", low, ".2f"), number(f"{key}_speedup_median_ci_high", high, ".2f")
    return Cell(shown.text, (*shown.numbers, *ends))


def _parts(row: Row, names: Sequence[str]) -> Iterator[Cell]:
    cells = {name: _part(row, name) for name in row.time_parts}
    unseen = [number for name, cell in cells.items() if name not in names for number in cell.numbers]
    for name in names:
        yield Cell(cells[name].text, (*cells[name].numbers, *(unseen if name == names[-1] else ())))


def _part(row: Row, name: str) -> Cell:
    part = row.time_parts[name]
    spent = seconds(f"{name}_s", part.seconds)
    share = number(f"{name}_share", part.share, ".0f", scale=100)
    if part.seconds == 0:
        spent = Number(spent.key, spent.value, "0")
    if part.share is None:
        return Cell(spent.text, (spent,))
    return Cell(spent.text if part.seconds == 0 else f"{spent.text} {share.text}%", (spent, share))
