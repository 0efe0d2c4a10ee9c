"""Looks at results: when an experiment was compared, with how many seeds, and which its file planned by then.

A line is added when a comparison sees other numbers of seeds than the last one did; so that adding seeds until a
difference shows cannot pass for a plan.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kbench import files
from kbench.errors import KBenchError
from kbench.records.folders import ExperimentDir

SCHEMA = 1


class Look(BaseModel):
    """A comparison that was made."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = SCHEMA
    at: AwareDatetime
    planned: tuple[int, ...]  # seeds of the experiment's file at that time
    seeds: Mapping[str, int] = Field(default_factory=dict)  # done, by pair


def read_looks(folder: ExperimentDir) -> list[Look]:
    """The looks on record, oldest first; a line that is none is no look."""
    found = []
    with suppress(OSError):
        for entry in files.read(folder.looks):
            with suppress(ValidationError):
                found.append(Look.model_validate(entry))
    return found


def note_look(folder: ExperimentDir, *, planned: Sequence[int], seeds: Mapping[str, int]) -> None:
    """Put a look on record unless the last one saw the same.

    Results that cannot be written to can be looked at all the same.
    """
    earlier = read_looks(folder)
    look = Look(at=datetime.now(UTC), planned=tuple(planned), seeds=dict(seeds))
    if not earlier or (earlier[-1].planned, dict(earlier[-1].seeds)) != (look.planned, dict(look.seeds)):
        with suppress(OSError, KBenchError):
            files.append(folder.looks, look.model_dump(mode="json"))
