"""Effects: differences from another strategy, what their intervals support, and the numbers as tables print them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from kbench.analysis.interval import MIN_VALUES, Bounds
from kbench.analysis.multiple_testing import ALPHA
from kbench.analysis.rows import Comparison, Row
from kbench.analysis.tables.layout import tables
from kbench.records.schema import noun

RowKey = tuple[str, str]  # pair and strategy
NO_BREAK = "\N{NO-BREAK SPACE}"


class Outcome(StrEnum):
    """What a 95 % interval says of the sign of a difference."""

    LESS = "less"
    MORE = "more"
    OPEN = "open"  # the interval contains zero
    FEW = "few"  # no interval: too few seeds
    ALIKE = "alike"  # no interval: no spread between the seeds
    UNKNOWN = "unknown"  # not even the difference


@dataclass(frozen=True)
class Effect:
    """A difference and what it shows."""

    outcome: Outcome
    text: str  # "-26.4 % [-36.1, -15.3]", in which no line may break
    seeds: int
    p_adjusted: str = ""  # p-value adjusted for several strategies, where it leaves open what the interval shows

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes zero."""
        return self.outcome in (Outcome.LESS, Outcome.MORE)

    @property
    def is_significant(self) -> bool:
        """Whether it does so for more than chance among several strategies."""
        return self.is_shown and not self.p_adjusted


@dataclass(frozen=True)
class Effects:
    """A strategy beside another one, on the seeds that both have."""

    time: Effect
    accuracy: Effect  # of the best epochs
    final: Effect  # accuracy after the last epoch
    noun: str  # "accuracy", or what else it is


def effects(comparison: Comparison) -> dict[RowKey, Effects]:
    """The effects of every row but the baseline's."""
    printed = dict(_printed_numbers(comparison))
    found = {}
    for row in comparison.rows:
        if row.strategy != comparison.baseline:
            texts = printed[row.pair, row.strategy]
            found[row.pair, row.strategy] = Effects(
                time=_effect(row, "time_diff", " %", texts),
                accuracy=_effect(row, "acc_diff", " points", texts),
                final=_effect(row, "acc_final_diff", " points", texts),
                noun=noun(row.metric),
            )
    return found


def outcome_of(mean: float | None, ci: Bounds, *, seeds: int) -> Outcome:
    """What is shown of a difference with that mean and that interval."""
    if mean is None:
        return Outcome.UNKNOWN
    if ci is None:
        return Outcome.FEW if seeds < MIN_VALUES else Outcome.ALIKE
    if ci[0] <= 0 <= ci[1]:
        return Outcome.OPEN
    return Outcome.LESS if ci[1] < 0 else Outcome.MORE


def _effect(row: Row, key: str, unit: str, texts: dict[str, str]) -> Effect:
    mean, ci, span = (getattr(row, name) for name in (key, f"{key}_ci", f"{key}_range"))
    outcome = outcome_of(mean, ci, seeds=row.seeds)
    text = "" if mean is None else f"{texts[key]}{unit}"
    if ci:
        text += f" [{texts[f'{key}_ci_low']}, {texts[f'{key}_ci_high']}]"
    elif span and span[0] != span[1]:
        text += f" (range {texts[f'{key}_range_low']} to {texts[f'{key}_range_high']})"
    p = getattr(row, f"{key}_p_holm", None)
    is_open = p is not None and p >= ALPHA and outcome in (Outcome.LESS, Outcome.MORE)
    text = text.replace(" ", NO_BREAK)
    return Effect(outcome, text, row.seeds, texts[f"{key}_p_holm"] if is_open else "")


def _printed_numbers(comparison: Comparison) -> Iterator[tuple[RowKey, dict[str, str]]]:
    """The numbers of the table of accuracy and time, as it prints them."""
    for table in tables(comparison):
        if table.kind == "accuracy":
            for line in table.lines:
                yield (line.pair, line.strategy), {n.key: n.text for cell in line.cells for n in cell.numbers}
