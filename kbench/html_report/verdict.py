"""The verdict on each strategy, in sentences and in words for a glance."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kbench.analysis.frame import Frames
from kbench.analysis.multiple_testing import adjust_p_values
from kbench.analysis.pairing import pair_runs
from kbench.analysis.rows import Comparison, build_row
from kbench.html_report.effects import Change, Changes, Outcome, Who, changes
from kbench.html_report.roles import Part
from kbench.html_report.wording import beats, beside, claim, gains, last_epoch, losses


def doubts(who: Who, comparison: Comparison) -> Iterator[int]:
    """Places in the findings of the warnings about a row, but for those that its verdict says itself.

    They are about the row, the baseline beside it, or its whole pair; or about all that is compared.
    """
    pair, strategy = who
    for place, finding in enumerate(comparison.findings):
        if finding.severity == "warning" and finding.kind != "control":
            near = [about.strategy for about in finding.about if about.pair == pair]
            if not finding.about or {strategy, comparison.baseline, None} & set(near):
                yield place


DOWNSTREAM = (
    "It began with the weights of its own run upstream and trained like the baseline; a difference in time is not its "
    "doing."
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
    part: Part
    marks: tuple[Mark, ...]
    sentence: str  # about time and accuracy beside the baseline's
    more: tuple[str, ...]  # about the last epoch and the controls
    doubts: tuple[int, ...]  # places in the findings of the warnings about it
    beats_controls: bool | None  # shown better than each in something, worse in nothing; None: no control, or is one
    time: Change
    accuracy: Change
    noun: str  # what is called accuracy here


def verdicts(frames: Frames, comparison: Comparison, parts: Mapping[Who, Part]) -> list[Verdict]:
    """A verdict for each row but the baseline's, in their order."""
    found = changes(comparison)
    controls = {strategy for (_, strategy), part in parts.items() if part is Part.CONTROL}
    beside_controls = {control: _beside(frames, control) for control in _in_order(comparison, controls)}
    return [_verdict(who, found, beside_controls, comparison, parts) for who in found]


def _beside(frames: Frames, control: str) -> Mapping[Who, Changes]:
    """All strategies beside ``control``: what kbench compare --baseline says, but for its audit and its targets."""
    groups = pair_runs(frames, control).groupby(["pair", "strategy"], sort=False)
    rows = [build_row(own, (), is_baseline=who[1] == control) for who, own in groups]
    return changes(
        Comparison(
            experiment=frames.name, baseline=control, rows=tuple(adjust_p_values(rows)), warnings=(), findings=()
        )
    )


def _verdict(
    who: Who,
    found: Mapping[Who, Changes],
    controls: Mapping[str, Mapping[Who, Changes]],
    comparison: Comparison,
    parts: Mapping[Who, Part],
) -> Verdict:
    pair, strategy = who
    own, rivals = found[who], _on_pair(found, pair)
    time = claim("time", own.time, "training time", rivals=rivals)
    accuracy = claim("accuracy", own.accuracy, own.noun, rivals=rivals)
    more = [last_epoch(own)]
    marks = [_mark("time", own.time, good=Outcome.LESS), _mark(own.noun, own.accuracy, good=Outcome.MORE)]
    beaten = None
    if parts[who] is Part.DOWNSTREAM:
        more.append(DOWNSTREAM)
    if parts[who] is Part.METHOD:
        beside_it = {control: of[who] for control, of in controls.items() if who in of}
        more += [
            beside(control, change, rivals=_on_pair(controls[control], pair)) for control, change in beside_it.items()
        ]
        marks += [_mark_beside(control, change) for control, change in beside_it.items()]
        beaten = all(map(beats, beside_it.values())) if beside_it else None
        if not beside_it and parts.get((pair, comparison.baseline)) is not Part.CONTROL:
            more.append("No control was run beside it: what needs no method might do as well.")
    return Verdict(
        pair=pair,
        strategy=strategy,
        part=parts[who],
        marks=tuple(marks),
        sentence=f"Against {comparison.baseline}, {strategy} {time}; it {accuracy}.",
        more=tuple(filter(None, more)),
        doubts=tuple(doubts(who, comparison)),
        beats_controls=beaten,
        time=own.time,
        accuracy=own.accuracy,
        noun=own.noun,
    )


def _on_pair(found: Mapping[Who, Changes], pair: str) -> int:
    return sum(other == pair for other, _ in found)


def _in_order(comparison: Comparison, strategies: set[str]) -> list[str]:
    rows = dict.fromkeys(row.strategy for row in comparison.rows)
    return [name for name in rows if name in strategies and name != comparison.baseline]


def _mark(quantity: str, change: Change, *, good: Outcome) -> Mark:
    if change.is_sure:
        return Mark(f"{change.outcome} {quantity}", "good" if change.outcome is good else "bad")
    if change.is_told:
        return Mark(f"perhaps {change.outcome} {quantity}", "open")
    words = {Outcome.OPEN: "not told apart", Outcome.UNKNOWN: "not known", Outcome.FEW: "too few seeds"}
    return Mark(f"{quantity}: {words.get(change.outcome, 'no interval')}", "open")


def _mark_beside(control: str, changes: Changes) -> Mark:
    better, worse = gains(changes), losses(changes)
    if better and worse:
        return Mark(f"mixed against {control}", "open")
    if worse:
        is_sure = losses(changes, sure=True)
        return Mark(f"worse than {control}", "bad") if is_sure else Mark(f"perhaps worse than {control}", "open")
    if better:
        return Mark(f"beat {control}", "good") if beats(changes) else Mark(f"perhaps beat {control}", "open")
    return Mark(f"{control} not beaten", "open")
