"""Verdicts: what is shown of each strategy, in sentences, in marks for a glance, and summed up for each pair.

Sentences say what an interval supports, and no more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kbench.analysis.frame import Frames
from kbench.analysis.multiple_testing import adjust_p_values
from kbench.analysis.pairing import pair_runs
from kbench.analysis.rows import Comparison, build_row
from kbench.html_report.effects import Effect, Effects, Outcome, RowKey, effects
from kbench.html_report.roles import RowRole

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
TIME = "time"
NUMBERS = {1: "one", 2: "two"}
SIDES = (
    ("save time", "time", Outcome.LESS),
    ("take more time", "time", Outcome.MORE),
    ("lose {}", "accuracy", Outcome.LESS),
    ("gain {}", "accuracy", Outcome.MORE),
)


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
    sentence: str  # about time and accuracy beside the baseline's
    more: tuple[str, ...]  # about the last epoch and the controls
    findings: tuple[int, ...]  # places in the findings of the warnings about it
    beats_controls: bool | None  # shown better than each in something, worse in nothing; None: no control, or is one
    time: Effect
    accuracy: Effect
    noun: str  # what is called accuracy here


def verdicts(frames: Frames, comparison: Comparison, roles: Mapping[RowKey, RowRole]) -> list[Verdict]:
    """A verdict for each row but the baseline's, in their order."""
    found = effects(comparison)
    controls = {strategy for (_, strategy), role in roles.items() if role is RowRole.CONTROL}
    against_controls = {control: _against(frames, control) for control in _in_order(comparison, controls)}
    return [_verdict(row, found, against_controls, comparison, roles) for row in found]


def _against(frames: Frames, control: str) -> Mapping[RowKey, Effects]:
    """All strategies against ``control``: what kbench compare --baseline says, but for its audit and its targets."""
    groups = pair_runs(frames, control).groupby(["pair", "strategy"], sort=False)
    rows = [build_row(own, (), is_baseline=key[1] == control) for key, own in groups]
    return effects(
        Comparison(
            experiment=frames.name, baseline=control, rows=tuple(adjust_p_values(rows)), warnings=(), findings=()
        )
    )


def _verdict(
    row: RowKey,
    found: Mapping[RowKey, Effects],
    controls: Mapping[str, Mapping[RowKey, Effects]],
    comparison: Comparison,
    roles: Mapping[RowKey, RowRole],
) -> Verdict:
    pair, strategy = row
    own, rivals = found[row], _on_pair(found, pair)
    time = _clause("time", own.time, "training time", rivals=rivals)
    accuracy = _clause("accuracy", own.accuracy, own.noun, rivals=rivals)
    more = [_last_epoch(own)]
    marks = [_mark("time", own.time, good=Outcome.LESS), _mark(own.noun, own.accuracy, good=Outcome.MORE)]
    beaten = None
    if roles[row] is RowRole.DOWNSTREAM:
        more.append(DOWNSTREAM)
    if roles[row] is RowRole.METHOD:
        by_control = {control: of[row] for control, of in controls.items() if row in of}
        more += [
            _against_control(control, effect, rivals=_on_pair(controls[control], pair))
            for control, effect in by_control.items()
        ]
        marks += [_control_mark(control, effect) for control, effect in by_control.items()]
        beaten = all(map(beats, by_control.values())) if by_control else None
        if not by_control and roles.get((pair, comparison.baseline)) is not RowRole.CONTROL:
            more.append("No control was run beside it: what needs no method might do as well.")
    return Verdict(
        pair=pair,
        strategy=strategy,
        role=roles[row],
        marks=tuple(marks),
        sentence=f"Against {comparison.baseline}, {strategy} {time}; it {accuracy}.",
        more=tuple(filter(None, more)),
        findings=tuple(related_findings(row, comparison)),
        beats_controls=beaten,
        time=own.time,
        accuracy=own.accuracy,
        noun=own.noun,
    )


def _on_pair(found: Mapping[RowKey, Effects], pair: str) -> int:
    return sum(other == pair for other, _ in found)


def _in_order(comparison: Comparison, strategies: set[str]) -> list[str]:
    rows = dict.fromkeys(row.strategy for row in comparison.rows)
    return [name for name in rows if name in strategies and name != comparison.baseline]


def _mark(quantity: str, effect: Effect, *, good: Outcome) -> Mark:
    if effect.is_significant:
        return Mark(f"{effect.outcome} {quantity}", "good" if effect.outcome is good else "bad")
    if effect.is_shown:
        return Mark(f"perhaps {effect.outcome} {quantity}", "open")
    instead = {Outcome.OPEN: "not told apart", Outcome.UNKNOWN: "not known", Outcome.FEW: "too few seeds"}
    return Mark(f"{quantity}: {instead.get(effect.outcome, 'no interval')}", "open")


def _control_mark(control: str, effects: Effects) -> Mark:
    better, worse = gains(effects), losses(effects)
    if better and worse:
        return Mark(f"mixed against {control}", "open")
    if worse:
        is_sure = losses(effects, sure=True)
        return Mark(f"worse than {control}", "bad") if is_sure else Mark(f"perhaps worse than {control}", "open")
    if better:
        return Mark(f"beat {control}", "good") if beats(effects) else Mark(f"perhaps beat {control}", "open")
    return Mark(f"{control} not beaten", "open")


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


def _last_epoch(effects: Effects) -> str:
    """A sentence where the accuracy after the last epoch shows what that of the best does not; else nothing."""
    if not effects.final.is_shown or effects.final.outcome is effects.accuracy.outcome:
        return ""
    word = "lower" if effects.final.outcome is Outcome.LESS else "higher"
    return f"After the last epoch its {effects.noun} was {word} than the baseline's: {effects.final.text}."


def _against_control(control: str, effects: Effects, *, rivals: int) -> str:
    """A sentence about a method beside a control, on the seeds that both have."""
    texts = [f"{name} {c.text}{_chance_note(c, rivals)}" for name, c in _accuracy_and_time(effects) if c.text]
    numbers = f" ({', '.join(texts)})" if texts else ""
    return f"{_control_result(control, effects)}{numbers}."


def beats(effects: Effects) -> bool:
    """Whether better is shown in accuracy or time, and not by chance among several, and worse in neither."""
    return bool(gains(effects, sure=True)) and not losses(effects)


def gains(effects: Effects, *, sure: bool = False) -> list[str]:
    """In what the interval shows better; with ``sure`` for more than chance among several strategies."""
    return _quantities(effects, {True: Outcome.LESS, False: Outcome.MORE}, sure=sure)


def losses(effects: Effects, *, sure: bool = False) -> list[str]:
    """In what the interval shows worse; with ``sure`` for more than chance among several strategies."""
    return _quantities(effects, {True: Outcome.MORE, False: Outcome.LESS}, sure=sure)


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence."""
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names) or "none"


def _control_result(control: str, effects: Effects) -> str:
    better, worse = gains(effects), losses(effects)
    if better and worse:
        return f"It was better than {control} in {listed(better)}, and worse in {listed(worse)}"
    if worse:
        return f"It did not beat {control}: it was worse in {listed(worse)}"
    if len(better) == 2:
        return f"It beat {control} in {listed(better)}"
    open_in = [name for name, effect in _accuracy_and_time(effects) if effect.outcome is Outcome.OPEN]
    if better and open_in:
        return f"It beat {control} in {better[0]}; that they differ in {open_in[0]} is not shown"
    if better:
        return f"It was better than {control} in {better[0]}; the other cannot be judged"
    if len(open_in) == 2:
        return f"It is not shown to beat {control}"
    if any(effect.outcome is Outcome.FEW for _, effect in _accuracy_and_time(effects)):
        return f"Whether it beats {control} cannot be told from {_seeds(effects.time)}"
    return f"Whether it beats {control} cannot be told"


def _quantities(effects: Effects, outcomes: Mapping[bool, Outcome], *, sure: bool) -> list[str]:
    """In what the outcome is the one of ``outcomes`` for time (True) or for accuracy."""
    found = [(name, effect) for name, effect in _accuracy_and_time(effects) if effect.outcome is outcomes[name == TIME]]
    return [name for name, effect in found if effect.is_significant or not sure]


def _accuracy_and_time(effects: Effects) -> tuple[tuple[str, Effect], tuple[str, Effect]]:
    return (effects.noun, effects.accuracy), (TIME, effects.time)


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
