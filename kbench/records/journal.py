"""The epochs of a run as its journal holds them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kbench import files
from kbench.records.schema import EpochRecord

RECORDS = TypeAdapter(list[EpochRecord])


def read(path: Path) -> list[EpochRecord]:
    """All records of a journal, in order; what is no record is passed over."""
    try:
        return RECORDS.validate_json(b"[" + b",".join(files.lines(path)) + b"]")  # faster than line by line
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
