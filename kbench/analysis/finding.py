"""Findings: what a reader must know before believing a comparison."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class About:
    """A strategy on a pair; None for whatever was run on the pair."""

    pair: str
    strategy: str | None = None


@dataclass(frozen=True)
class Finding:
    """``warning``: a number may mislead; ``note``: how it came about.  ``kind`` is a word for programs."""

    severity: Literal["warning", "note"]
    kind: str
    text: str
    about: tuple[About, ...] = ()  # nothing: all that is compared


def warning(kind: str, text: str, about: Iterable[About] = ()) -> Finding:
    """A number of the table may mislead."""
    return Finding("warning", kind, text, tuple(about))


def note(kind: str, text: str, about: Iterable[About] = ()) -> Finding:
    """How the numbers came about."""
    return Finding("note", kind, text, tuple(about))


def about(pair: object, *strategies: object) -> tuple[About, ...]:
    """What a finding is about: strategies of a pair, as names or as pandas gives them; none is the whole pair."""
    return tuple(About(str(pair), str(strategy)) for strategy in strategies) or (About(str(pair)),)


def gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Warnings before notes, else in their order."""
    return sorted(findings, key=lambda finding: finding.severity != "warning")
