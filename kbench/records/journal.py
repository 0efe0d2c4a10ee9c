"""The journal of a run: which of its epochs count, and whether they add up."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from kbench import files
from kbench.records.migrations import sentence, upgrade
from kbench.records.schema import EpochRecord

NAME = "epochs.jsonl"
LARGE = re.compile(rb"[:, -][0-9]{19}")
RECORDS = TypeAdapter(list[EpochRecord])


class PhaseLength(BaseModel):
    """A stretch of training, and how many epochs it has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    epochs: int


class Line(NamedTuple):
    """A line of a journal: a record, or why it is none."""

    number: int  # from 1
    record: EpochRecord | None
    problem: str = ""


class Journal(NamedTuple):
    """The lines of a journal in the order of the file, without those that are empty."""

    lines: tuple[Line, ...] = ()
    is_torn: bool = False  # whether the last line was not written to its end

    @property
    def records(self) -> list[EpochRecord]:
        """All that are records."""
        return [line.record for line in self.lines if line.record]

    def number_of(self, record: EpochRecord) -> int:
        """The number of the line that holds one of its records."""
        return next(line.number for line in self.lines if line.record is record)


def append(path: Path, record: EpochRecord) -> None:
    """Write an epoch as the last line of a journal, and wait until it is on the disk."""
    files.append(path, record.model_dump(mode="json"))


def read(path: Path) -> Journal:
    """Read a journal, whatever schema its lines have; one that is not there has no lines."""
    every = files.lines(path)
    lines = [(number, line) for number, line in enumerate(every, start=1) if line.strip()]
    is_torn = bool(every and every[-1])
    if any(LARGE.search(line) for _, line in lines):  # a count that may fit no table
        return Journal(tuple(_line(number, line) for number, line in lines), is_torn)
    try:
        records = RECORDS.validate_json(b"[" + b",".join(line for _, line in lines) + b"]")  # faster than by line
    except ValidationError:
        return Journal(tuple(_line(number, line) for number, line in lines), is_torn)
    if len(records) < len(lines):  # no line can hold two, but two may be one
        return Journal(tuple(_line(number, line) for number, line in lines), is_torn)
    return Journal(tuple(Line(number, record) for (number, _), record in zip(lines, records, strict=True)), is_torn)


def _line(number: int, line: bytes) -> Line:
    try:
        return Line(number, EpochRecord.model_validate(upgrade(NAME, line, EpochRecord.model_fields)))
    except ValueError as error:
        return Line(number, None, sentence(error))


def counted(records: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Pick each epoch once, in order.

    What an earlier attempt wrote of the epoch that a later one begins with, and of those after it, is
    replaced; an attempt that begins with the first epoch replaces everything.
    """
    phases = list(dict.fromkeys(record.phase for record in records))
    counting: list[EpochRecord] = []
    newest = 0
    for record in records:
        if record.attempt < newest:
            continue  # an older attempt was still dying
        newest, place = record.attempt, (phases.index(record.phase), record.epoch)
        while counting and (phases.index(counting[-1].phase), counting[-1].epoch) >= place:
            counting.pop()
        counting.append(record)
    return counting


def trouble_of(
    journal: Journal, epochs: Sequence[EpochRecord], *, phases: Sequence[PhaseLength] | None, n_epochs: int | None,
    is_done: bool,
) -> str:  # fmt: skip
    """Say in a sentence why a journal cannot be believed; empty where it can.

    A line that is no record is one that a crash tore if it is torn, or if a later attempt wrote after it; what is
    missing then shows in the epochs.

    Args:
        journal: All of its lines.
        epochs: Those that count.
        phases: What the run set out to train; None where that is not on record (schema 1).
        n_epochs: How many epochs that has in all; None where that is not on record.
        is_done: Whether the run wrote that it is done; before, epochs are to come.
    """
    bad = next((line for line in journal.lines if not line.record and not _is_of_a_crash(line, journal)), None)
    if bad:
        return f"line {bad.number} is no record of an epoch: {bad.problem}"
    if twice := _twice(journal):
        return twice
    if phases is None:
        lengths = {record.phase: record.epoch + 1 for record in epochs}
        phases = [PhaseLength(name=name, epochs=length) for name, length in lengths.items()]
    elif is_done:
        n_epochs = sum(phase.epochs for phase in phases)
    wanted = [(phase.name, epoch) for phase in phases for epoch in range(phase.epochs)]
    for (phase, epoch), record in zip(wanted, epochs, strict=False):
        if (phase, epoch) != (record.phase, record.epoch):
            there = f"line {journal.number_of(record)} holds epoch {record.epoch} of phase {record.phase}"
            return f"{there}, but epoch {epoch} of phase {phase} is missing"
    if is_done and n_epochs is None:
        return "nothing says how many epochs the run set out to train"
    if is_done and len(epochs) != n_epochs:
        return f"it holds {len(epochs)} of the {n_epochs} epochs that the run set out to train"
    if len(epochs) > len(wanted):
        return f"it holds {len(epochs)} epochs, and the run set out to train {len(wanted)}"
    return ""


def _twice(journal: Journal) -> str:
    """Say which epoch two processes trained at the same time, as one attempt; empty where none."""
    first: dict[tuple[str, int, int], Line] = {}
    for line in journal.lines:
        if record := line.record:
            earlier = first.setdefault((record.phase, record.epoch, record.attempt), line)
            if earlier is not line:
                what = f"epoch {record.epoch} of phase {record.phase} of attempt {record.attempt}"
                by = [writer for one in (earlier.record, record) if one and (writer := one.writer)]
                processes = f" ({' and '.join(by)})" if by else ""
                return f"lines {earlier.number} and {line.number} both hold {what}: two processes trained it{processes}"
    return ""


def _is_of_a_crash(line: Line, journal: Journal) -> bool:
    """Whether a line that is no record may be what the crash of an attempt left."""
    if journal.is_torn and line is journal.lines[-1]:
        return True
    place = journal.lines.index(line)
    before = max((each.record.attempt for each in journal.lines[:place] if each.record), default=1)
    return any(each.record.attempt > before for each in journal.lines[place:] if each.record)
