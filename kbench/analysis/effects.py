"""Effects: differences from another strategy, what their intervals support, and the numbers as tables print them."""

from dataclasses import dataclass
from enum import StrEnum

from kbench.analysis.interval import MIN_VALUES, Bounds
from kbench.analysis.multiple_testing import ALPHA
from kbench.analysis.rows import Row
from kbench.analysis.tables.model import interval, number, percent
from kbench.records.schema import noun

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
    accuracy: Effect  # after the last epoch
    best: Effect  # accuracy of the best epochs
    noun: str  # "accuracy", or what else it is


def effects(row: Row) -> Effects:
    """What a row that is not the baseline's shows."""
    return Effects(
        time=_effect(row, "time_diff", " %", "+.1f"),
        accuracy=_effect(row, "acc_final_diff", " points", "+.2f"),
        best=_effect(row, "acc_diff", " points", "+.2f"),
        noun=noun(row.metric),
    )


def outcome_of(mean: float | None, ci: Bounds, *, seeds: int) -> Outcome:
    """What is shown of a difference with that mean and that interval."""
    if mean is None:
        return Outcome.UNKNOWN
    if ci is None:
        return Outcome.FEW if seeds < MIN_VALUES else Outcome.ALIKE
    if ci[0] <= 0 <= ci[1]:
        return Outcome.OPEN
    return Outcome.LESS if ci[1] < 0 else Outcome.MORE


def _effect(row: Row, key: str, unit: str, form: str) -> Effect:
    mean, ci, span = (getattr(row, name) for name in (key, f"{key}_ci", f"{key}_range"))
    outcome = outcome_of(mean, ci, seeds=row.seeds)
    text = "" if mean is None else f"{percent(key, mean, form).text}{unit}"
    bounds = interval(key, ci, span, form).text
    text = f"{text} ({bounds})" if bounds.startswith("range") else f"{text} {bounds}".strip()
    p = getattr(row, f"{key}_p_holm", None)
    is_open = p is not None and p >= ALPHA and outcome in (Outcome.LESS, Outcome.MORE)
    return Effect(outcome, text.replace(" ", NO_BREAK), row.seeds, number("p", p, ".3g").text if is_open else "")
