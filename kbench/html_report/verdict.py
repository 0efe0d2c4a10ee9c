"""Verdicts: what is shown of each strategy, in sentences, in marks for a glance, and summed up for each pair.

Sentences say what an interval supports, and no more; what is said of controls is what the audit says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kbench.analysis.claims import claim_sentence, samples_sentence
from kbench.analysis.controls import TIME_MARGIN
from kbench.analysis.effects import Effect, Effects, Outcome, effects
from kbench.analysis.roles import RowKey, RowRole
from kbench.analysis.rows import AgainstControl, Comparison, ControlVerdict, Row
from kbench.analysis.tables.model import percent, points

DOWNSTREAM = (
    "It began with the weights of its own run upstream and trained like the baseline; a difference in time is not its "
    "doing."
)
CLAIMS = {
    "time": {
        Outcome.LESS: "saved {}",
        Outcome.MORE: "took more {}",
        Outcome.OPEN: "is not shown to save {} or take more",
    },
    "accuracy": {Outcome.LESS: "lost {}", Outcome.MORE: "gained {}", Outcome.OPEN: "is not shown to gain or lose {}"},
}
NUMBERS = {1: "one", 2: "two"}
SIDES = (
    ("save time", "time", Outcome.LESS),
    ("take more time", "time", Outcome.MORE),
    ("lose {}", "accuracy", Outcome.LESS),
    ("gain {}", "accuracy", Outcome.MORE),
)
CONTROL_MARKS: Mapping[ControlVerdict, tuple[str, Literal["good", "bad", "open"]]] = {
    ControlVerdict.BEATS: ("beat {}", "good"),
    ControlVerdict.MIXED: ("mixed against {}", "open"),
    ControlVerdict.WORSE: ("worse than {}", "bad"),
    ControlVerdict.EQUAL: ("no better than {}", "bad"),
    ControlVerdict.OPEN: ("{} not beaten", "open"),
    ControlVerdict.UNKNOWN: ("{}: no interval", "open"),
}


@dataclass(frozen=True)
class Mark:
    """A word or two for a glance."""

    text: str
    tone: Literal["good", "bad", "open"]


@dataclass(frozen=True)
class Verdict:
    """What is shown of one strategy on one pair, and what is not."""

    pair: str
    strategy: str
    role: RowRole
    marks: tuple[Mark, ...]
    claim: str  # time saved and accuracy lost, against the margin
    sentence: str  # about time and accuracy beside the baseline's
    more: tuple[str, ...]  # about the best epoch and the controls
    findings: tuple[int, ...]  # places in the findings of the warnings about it
    beats_controls: bool | None  # whether it is shown to beat each; None: there is none, or it is one
    shown: bool | None  # whether it is shown within the margin
    time: Effect
    accuracy: Effect
    noun: str  # what is called accuracy here


def verdicts(comparison: Comparison, roles: Mapping[RowKey, RowRole]) -> list[Verdict]:
    """A verdict for each row but the baseline's, in their order."""
    return [_verdict(row, comparison, roles) for row in comparison.rows if row.strategy != comparison.baseline]


def _verdict(row: Row, comparison: Comparison, roles: Mapping[RowKey, RowRole]) -> Verdict:
    key, own = (row.pair, row.strategy), effects(row)
    rivals = sum(other.pair == row.pair and other.strategy != comparison.baseline for other in comparison.rows)
    time = _clause("time", own.time, "training time", rivals=rivals)
    accuracy = _clause("accuracy", own.accuracy, f"final {own.noun}", rivals=rivals)
    more = [samples_sentence(row), _best_epoch(own)]
    marks = _margin_marks(row)
    marks += [_mark("time", own.time, good=Outcome.LESS), _mark(own.noun, own.accuracy, good=Outcome.MORE)]
    tests = [one for one in comparison.controls if (one.row.pair, one.row.strategy) == key]
    if roles[key] is RowRole.DOWNSTREAM:
        more.append(DOWNSTREAM)
    if roles[key] is RowRole.METHOD:
        more += [against_control(one) for one in tests]
        marks += [_control_mark(one) for one in tests]
        if not tests and roles.get((row.pair, comparison.baseline)) is not RowRole.CONTROL:
            more.append("No control was run beside it: what needs no method might do as well.")
    return Verdict(
        pair=row.pair,
        strategy=row.strategy,
        role=roles[key],
        marks=tuple(marks),
        claim="" if roles[key] is RowRole.DOWNSTREAM else claim_sentence(row, rivals=rivals),
        sentence=f"Against {comparison.baseline}, {row.strategy} {time}; it {accuracy}.",
        more=tuple(filter(None, more)),
        findings=tuple(related_findings(key, comparison)),
        beats_controls=all(one.verdict is ControlVerdict.BEATS for one in tests) if tests else None,
        shown=None if row.shown is None else row.shown == "yes",
        time=own.time,
        accuracy=own.accuracy,
        noun=own.noun,
    )


def _margin_marks(row: Row) -> list[Mark]:
    if row.shown is None or row.upstream is not None:
        return []
    margin = points(row.margin)
    texts: Mapping[str, tuple[str, Literal["good", "bad", "open"]]] = {
        "yes": ("saves time within {}", "good"),
        "no": ("not within {}", "bad"),
        "open": ("within {}: not shown", "open"),
    }
    text, tone = texts[row.shown]
    return [Mark(text.format(margin), tone)]


def _mark(quantity: str, effect: Effect, *, good: Outcome) -> Mark:
    if effect.is_significant:
        return Mark(f"{effect.outcome} {quantity}", "good" if effect.outcome is good else "bad")
    if effect.is_shown:
        return Mark(f"perhaps {effect.outcome} {quantity}", "open")
    instead = {Outcome.OPEN: "not told apart", Outcome.UNKNOWN: "not known", Outcome.FEW: "too few seeds"}
    return Mark(f"{quantity}: {instead.get(effect.outcome, 'no interval')}", "open")


def _control_mark(one: AgainstControl) -> Mark:
    text, tone = CONTROL_MARKS[one.verdict]
    return Mark(text.format(one.control), tone)


def related_findings(row: RowKey, comparison: Comparison) -> Iterator[int]:
    """Places in the findings of the warnings about a row, but for those that its verdict says itself.

    They are about the row, the baseline beside it, or its whole pair; or about all that is compared.
    """
    pair, strategy = row
    for place, finding in enumerate(comparison.findings):
        if finding.severity == "warning" and finding.kind != "control":
            near = [about.strategy for about in finding.about if about.pair == pair]
            if not finding.about or {strategy, comparison.baseline, None} & set(near):
                yield place


def _clause(quantity: Literal["time", "accuracy"], effect: Effect, name: str, *, rivals: int) -> str:
    """A clause about time or accuracy beside the baseline's, of one of ``rivals`` strategies; ``name`` is its name."""
    if effect.outcome is Outcome.UNKNOWN:
        return f"has no known {name}"
    if effect.outcome is Outcome.FEW:
        return f"changed {name} by {effect.text} in {_seeds(effect)}, too few to tell that from chance"
    if effect.outcome is Outcome.ALIKE:
        return f"changed {name} by {effect.text} in every seed alike, which gives no interval"
    return f"{CLAIMS[quantity][effect.outcome].format(name)}: {effect.text}{_chance_note(effect, rivals)}"


def _best_epoch(effects: Effects) -> str:
    """A sentence where the best epoch shows what the last does not; else nothing."""
    if not effects.best.is_shown or effects.best.outcome is effects.accuracy.outcome:
        return ""
    word = "lower" if effects.best.outcome is Outcome.LESS else "higher"
    return f"At the best epoch its {effects.noun} was {word} than the baseline's: {effects.best.text}."


def against_control(one: AgainstControl) -> str:
    """A sentence about a method beside a control, on the seeds that both have."""
    own = effects(one.row)
    quantities = [(own.noun, own.accuracy)] if one.equal_time else [(own.noun, own.accuracy), ("time", own.time)]
    texts = [f"{name} {effect.text}{_chance_note(effect, one.n_rivals)}" for name, effect in quantities if effect.text]
    numbers = f" ({', '.join(texts)})" if texts else ""
    equal = ", which had its time" if one.equal_time else ""
    return f"{_control_result(one, own)}{equal}{numbers}."


def _control_result(one: AgainstControl, own: Effects) -> str:
    control = one.control
    good = [name for name, effect, side in _sides(one, own) if effect.is_significant and effect.outcome is side]
    bad = [name for name, effect, side in _sides(one, own) if effect.is_significant and effect.outcome is not side]
    match one.verdict:
        case ControlVerdict.BEATS if len(good) == 2 or one.equal_time:
            return f"It beat {control} in {listed(good)}"
        case ControlVerdict.BEATS:
            return f"It beat {control} in {good[0]}, and {_as_good(one, good[0], own.noun)}"
        case ControlVerdict.MIXED:
            return f"It was better than {control} in {listed(good)}, and worse in {listed(bad)}"
        case ControlVerdict.WORSE:
            return f"It did not beat {control}: it was worse in {listed(bad)}"
        case ControlVerdict.EQUAL:
            return f"It is shown to do no better than {control}, and no worse, within {points(one.row.margin)}"
        case ControlVerdict.OPEN if good:
            other = own.noun if good[0] == "time" else "time"
            return f"It was better than {control} in {good[0]}; that it is as good in {other} is not shown"
        case ControlVerdict.OPEN:
            return f"It is not shown to beat {control}"
    if own.accuracy.outcome is Outcome.FEW:
        return f"Whether it beats {control} cannot be told from {_seeds(own.accuracy)}"
    return f"Whether it beats {control} cannot be told"


def _sides(one: AgainstControl, own: Effects) -> Iterator[tuple[str, Effect, Outcome]]:
    """What is compared, and which outcome is better."""
    yield own.noun, own.accuracy, Outcome.MORE
    if not one.equal_time:
        yield "time", own.time, Outcome.LESS


def _as_good(one: AgainstControl, better: str, noun: str) -> str:
    if better == "time":
        return f"loses less than {points(one.row.margin)} of {noun}"
    return f"takes less than {percent('', TIME_MARGIN, 'g').text} % more time"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence."""
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names) or "none"


def _chance_note(effect: Effect, rivals: int) -> str:
    return (
        f", which may be chance among {rivals} strategies (Holm, p = {effect.p_adjusted})" if effect.p_adjusted else ""
    )


def _seeds(effect: Effect) -> str:
    return f"{NUMBERS.get(effect.seeds, str(effect.seeds))} seed{'s' * (effect.seeds > 1)}"


@dataclass(frozen=True)
class Summary:
    """A pair, what is shown on it, and the verdicts that this sums up."""

    pair: str
    lines: tuple[tuple[str, str], ...]  # what is shown, and of whom
    verdicts: tuple[Verdict, ...]

    @property
    def has_warnings(self) -> bool:
        """Whether an asterisk stands in the lines."""
        return any("*" in names for _, names in self.lines)


def summaries(verdicts: Sequence[Verdict]) -> list[Summary]:
    """A summary for each pair."""
    pairs = dict.fromkeys(verdict.pair for verdict in verdicts)
    of_pairs = {pair: [verdict for verdict in verdicts if verdict.pair == pair] for pair in pairs}
    return [Summary(pair, tuple(_lines(own)), tuple(own)) for pair, own in of_pairs.items()]


def _lines(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, str]]:
    if any(v.shown is not None for v in verdicts):
        yield "Shown to save time within the margin", _names([v for v in verdicts if v.shown])
    for claim, quantity, outcome in SIDES:
        pairs = [(v, v.time if quantity == "time" else v.accuracy) for v in verdicts]
        names = _names([v for v, effect in pairs if effect.is_significant and effect.outcome is outcome])
        yield f"Shown to {claim.format(verdicts[0].noun)}", names
    judged = [v for v in verdicts if v.beats_controls is not None]
    if judged:
        of = f"of {len(judged)} method{'s' * (len(judged) > 1)}"
        yield f"Shown to beat every control, {of}", _names([v for v in judged if v.beats_controls])
    elif any(v.role is RowRole.METHOD for v in verdicts):
        yield "Shown to beat a control", "not known, as no control stands beside a method"


def _names(verdicts: Sequence[Verdict]) -> str:
    return listed([f"{v.strategy}{'*' if v.findings else ''}" for v in verdicts])
