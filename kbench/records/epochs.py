"""The epochs of a run as its journal holds them."""

from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kbench.records import journal
from kbench.records.schema import EpochRecord

RECORDS = TypeAdapter(list[EpochRecord])


def read(path: Path) -> list[EpochRecord]:
    """All records of a journal, in order; what is no record is passed over."""
    try:
        return RECORDS.validate_json(journal.as_list(path))  # ten times as fast as line by line
    except ValidationError:
        found = []
    for entry in journal.read(path):
        with suppress(ValidationError):
            found.append(EpochRecord.model_validate(entry))
    return found
