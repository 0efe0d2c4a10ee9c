"""Sentences about differences: what an interval supports, and no more."""

from collections.abc import Mapping, Sequence
from typing import Literal

from kbench.html_report.effects import Change, Changes, Outcome

CLAIMS = {
    "time": {
        Outcome.LESS: "saved {}",
        Outcome.MORE: "took more {}",
        Outcome.OPEN: "is not shown to save {} or take more",
    },
    "accuracy": {Outcome.LESS: "lost {}", Outcome.MORE: "gained {}", Outcome.OPEN: "is not shown to gain or lose {}"},
}
TIME = "time"
NUMBERS = {1: "one", 2: "two"}


def claim(quantity: Literal["time", "accuracy"], change: Change, name: str, *, rivals: int) -> str:
    """A clause about time or accuracy beside the baseline's, of one of ``rivals`` strategies; ``name`` is its name."""
    if change.outcome is Outcome.UNKNOWN:
        return f"has no known {name}"
    if change.outcome is Outcome.FEW:
        return f"changed {name} by {change.text} in {_seeds(change)}, too few to tell that from chance"
    if change.outcome is Outcome.ALIKE:
        return f"changed {name} by {change.text} in every seed alike, which gives no interval"
    return f"{CLAIMS[quantity][change.outcome].format(name)}: {change.text}{_chance(change, rivals)}"


def last_epoch(changes: Changes) -> str:
    """A sentence where the accuracy after the last epoch shows what that of the best does not; else nothing."""
    if not changes.final.is_told or changes.final.outcome is changes.accuracy.outcome:
        return ""
    word = "lower" if changes.final.outcome is Outcome.LESS else "higher"
    return f"After the last epoch its {changes.noun} was {word} than the baseline's: {changes.final.text}."


def beside(control: str, changes: Changes, *, rivals: int) -> str:
    """A sentence about a method beside a control, on the seeds that both have."""
    told = [f"{name} {c.text}{_chance(c, rivals)}" for name, c in _both(changes) if c.text]
    numbers = f" ({', '.join(told)})" if told else ""
    return f"{_standing(control, changes)}{numbers}."


def beats(changes: Changes) -> bool:
    """Whether better is shown in accuracy or time, and not by chance among several, and worse in neither."""
    return bool(gains(changes, sure=True)) and not losses(changes)


def gains(changes: Changes, *, sure: bool = False) -> list[str]:
    """In what the interval shows better; with ``sure`` for more than chance among several strategies."""
    return _in(changes, {True: Outcome.LESS, False: Outcome.MORE}, sure=sure)


def losses(changes: Changes, *, sure: bool = False) -> list[str]:
    """In what the interval shows worse; with ``sure`` for more than chance among several strategies."""
    return _in(changes, {True: Outcome.MORE, False: Outcome.LESS}, sure=sure)


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence."""
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names) or "none"


def _standing(control: str, changes: Changes) -> str:
    better, worse = gains(changes), losses(changes)
    if better and worse:
        return f"It was better than {control} in {listed(better)}, and worse in {listed(worse)}"
    if worse:
        return f"It did not beat {control}: it was worse in {listed(worse)}"
    if len(better) == 2:
        return f"It beat {control} in {listed(better)}"
    open_in = [name for name, change in _both(changes) if change.outcome is Outcome.OPEN]
    if better and open_in:
        return f"It beat {control} in {better[0]}; that they differ in {open_in[0]} is not shown"
    if better:
        return f"It was better than {control} in {better[0]}; the other cannot be judged"
    if len(open_in) == 2:
        return f"It is not shown to beat {control}"
    if any(change.outcome is Outcome.FEW for _, change in _both(changes)):
        return f"Whether it beats {control} cannot be told from {_seeds(changes.time)}"
    return f"Whether it beats {control} cannot be told"


def _in(changes: Changes, outcomes: Mapping[bool, Outcome], *, sure: bool) -> list[str]:
    """In what the outcome is the one of ``outcomes`` for time (True) or for accuracy."""
    told = [(name, change) for name, change in _both(changes) if change.outcome is outcomes[name == TIME]]
    return [name for name, change in told if change.is_sure or not sure]


def _both(changes: Changes) -> tuple[tuple[str, Change], tuple[str, Change]]:
    return (changes.noun, changes.accuracy), (TIME, changes.time)


def _chance(change: Change, rivals: int) -> str:
    return f", which may be chance among {rivals} strategies (Holm, p = {change.p_chance})" if change.p_chance else ""


def _seeds(change: Change) -> str:
    return f"{NUMBERS.get(change.seeds, str(change.seeds))} seed{'s' * (change.seeds > 1)}"
