"""The table across pairs: a line per strategy over all pairs of an experiment."""

from collections.abc import Iterator

from kbench.analysis.across_pairs import AcrossRow, Profile
from kbench.analysis.performance_profile import MOST
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.model import Cell, Line, Number, Table, cell, interval, number, percent

ALL_PAIRS = "all pairs"
NOTES = (
    "Across pairs: time, error: change of training time and of the final error (as a fraction of the baseline's), "
    "paired by seed; interquartile mean over all seeds and pairs: a quarter at each end is left out. faster, better: "
    "probability that a run takes less training time, or ends with a higher accuracy, than one of the baseline on the "
    "same pair, averaged over pairs.",
    "score: AlgoPerf's, of the time to the target: the area below the fraction of pairs on which a strategy is within "
    f"a factor of the fastest, up to {MOST:g}; 1: the fastest on all. within {MOST:g}x: pairs that count at all. The "
    "score depends on which strategies are compared, and has no interval: that of a bootstrap does not cover what it "
    "says.",
    "[a, b] across pairs: 95 % by bootstrap of the seeds of each pair; about other seeds, not about other pairs.",
)


def across_table(comparison: Comparison) -> Table | None:
    """The strategies over all pairs; None where there are too few pairs."""
    across = comparison.across
    if across is None or not across.rows:
        return None
    targets = next((row.profiles for row in across.rows), ())
    header = ["across pairs", "time", "", "faster", "", "error", "", "better", ""]
    for profile in targets:
        header += [f"score {profile.requested}", f"within {MOST:g}x"]
    lines = tuple(Line(ALL_PAIRS, row.strategy, tuple(_cells(row))) for row in across.rows)
    title = f"{comparison.experiment}: across {len(across.pairs)} pairs ({', '.join(across.pairs)}), compared with "
    return Table("across", title + comparison.baseline, tuple(header), lines, NOTES)


def _cells(row: AcrossRow) -> Iterator[Cell]:
    for name, form in (("time_iqm", "+.1f"), ("faster", ".0f"), ("error_iqm", "+.1f"), ("better", ".0f")):
        key = f"across_{name}"
        yield cell(percent(key, getattr(row, name), form), " %")
        yield interval(key, getattr(row, f"{name}_ci"), None, form)
    for profile in row.profiles:
        yield from _profile_cells(profile)


def _profile_cells(profile: Profile) -> Iterator[Cell]:
    key = f"across_{profile.requested}"
    score = number(f"{key}_score", profile.score, ".2f")
    ratios = [number(f"{key}_ratio_{pair}", ratio, ".2f") for pair, ratio in profile.ratios.items()]
    yield Cell(score.text, (score, *ratios))
    solved = Number(f"{key}_solved", profile.n_solved, f"{profile.n_solved} of {len(profile.ratios)}")
    yield Cell(solved.text, (solved,))
