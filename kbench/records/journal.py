"""The epochs of a run as its journal holds them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from kbench import files
from kbench.records.schema import EpochRecord

RECORDS = TypeAdapter(list[EpochRecord])


class Progress(NamedTuple):
    """How far a run has come."""

    n_epochs: int
    last: EpochRecord


def progress(path: Path) -> Progress | None:
    """How far a run has come whose journal no second attempt has written into; None where that is not so."""
    lines = [line for line in path.read_bytes().splitlines() if line] if path.exists() else []
    try:
        last = EpochRecord.model_validate_json(lines[-1])
    except (IndexError, ValidationError):
        return None
    return Progress(len(lines), last) if last.attempt == 1 else None


def read(path: Path) -> list[EpochRecord]:
    """All records of a journal, in order; what is no record is passed over."""
    try:
        return RECORDS.validate_json(files.as_list(path))  # faster than line by line
    except ValidationError:
        found = []
    for entry in files.read(path):
        with suppress(ValidationError):
            found.append(EpochRecord.model_validate(entry))
    return found


def counted(records: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Each epoch once, in order: one that a later attempt repeats takes all that came after it along."""
    kept: dict[tuple[str, int], EpochRecord] = {}
    newest = 0
    for record in records:
        if record.attempt < newest:
            continue  # an older attempt was still dying
        newest, place = record.attempt, (record.phase, record.epoch)
        if place in kept:
            places = list(kept)
            for lost in places[places.index(place) :]:
                del kept[lost]
        kept[place] = record
    return list(kept.values())
