"""One thing that was looked for on this machine, and what was found."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """What a finding means."""

    OK = "ok"
    WARNING = "warning"  # runs start, but slower, wrongly timed, or not everywhere
    MISSING = "missing"  # not there, or of no use as it is


@dataclass(frozen=True, kw_only=True)
class Item:
    """A finding; ``needed`` says that the site cannot do without it."""

    name: str
    state: State
    found: str
    remedy: str = ""
    needed: bool = False

    @property
    def is_fatal(self) -> bool:
        """Whether the site's runs cannot start."""
        return self.needed and self.state is State.MISSING

    def as_dict(self) -> dict[str, Any]:
        """The finding for a program."""
        return asdict(self)


def ok(name: str, found: str) -> Item:
    """What is there and fits."""
    return Item(name=name, state=State.OK, found=found)


def warning(name: str, found: str, remedy: str) -> Item:
    """What is there and will disappoint."""
    return Item(name=name, state=State.WARNING, found=found, remedy=remedy)


def missing(name: str, found: str, remedy: str, *, needed: bool) -> Item:
    """What is not there."""
    return Item(name=name, state=State.MISSING, found=found, remedy=remedy, needed=needed)


def judged(name: str, found: str, complaints: Iterable[str], remedy: str, *, needed: bool) -> Item:
    """What is there, and missing all the same if there is a complaint."""
    said = "; ".join(complaints)
    return missing(name, f"{found}; {said}", remedy, needed=needed) if said else ok(name, found)
