"""The verdicts of a pair in a few lines; an asterisk stands for warnings of the audit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kbench.html_report.effects import Outcome
from kbench.html_report.roles import Part
from kbench.html_report.verdict import Verdict
from kbench.html_report.wording import listed

SIDES = (
    ("save time", "time", Outcome.LESS),
    ("take more time", "time", Outcome.MORE),
    ("lose {}", "accuracy", Outcome.LESS),
    ("gain {}", "accuracy", Outcome.MORE),
)


@dataclass(frozen=True)
class Summary:
    """A pair, what is shown on it, and the verdicts that this sums up."""

    pair: str
    lines: tuple[tuple[str, str], ...]  # what is shown, and of whom
    verdicts: tuple[Verdict, ...]

    @property
    def has_doubts(self) -> bool:
        """Whether an asterisk stands in the lines."""
        return any("*" in names for _, names in self.lines)


def summaries(verdicts: Sequence[Verdict]) -> list[Summary]:
    """A summary for each pair."""
    pairs = dict.fromkeys(verdict.pair for verdict in verdicts)
    of_pairs = {pair: [verdict for verdict in verdicts if verdict.pair == pair] for pair in pairs}
    return [Summary(pair, tuple(_lines(own)), tuple(own)) for pair, own in of_pairs.items()]


def _lines(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, str]]:
    for said, quantity, outcome in SIDES:
        told = [(v, v.time if quantity == "time" else v.accuracy) for v in verdicts]
        names = _names([v for v, change in told if change.is_sure and change.outcome is outcome])
        yield f"Shown to {said.format(verdicts[0].noun)}", names
    judged = [v for v in verdicts if v.beats_controls is not None]
    if judged:
        of = f"of {len(judged)} method{'s' * (len(judged) > 1)}"
        yield f"Shown to beat every control, {of}", _names([v for v in judged if v.beats_controls])
    elif any(v.part is Part.METHOD for v in verdicts):
        yield "Shown to beat a control", "not known, as no control stands beside a method"


def _names(verdicts: Sequence[Verdict]) -> str:
    return listed([f"{v.strategy}{'*' if v.doubts else ''}" for v in verdicts])
