"""One thing that a reader must know before believing a comparison."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """``warning``: a number may mislead; ``note``: how it came about.  ``kind`` is a word for programs."""

    severity: Literal["warning", "note"]
    kind: str
    text: str


def warning(kind: str, text: str) -> Finding:
    """A number of the table may mislead."""
    return Finding("warning", kind, text)


def note(kind: str, text: str) -> Finding:
    """How the numbers came about."""
    return Finding("note", kind, text)
