"""Import from TensorBoard event files: scalars with a known tag and epochs as steps; a folder of them is a run."""

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kbench.errors import ConfigError
from kbench.files import reason
from kbench.importers.log import Log, checked, diverged, reading, refuse
from kbench.importers.metrics import ACCURACIES, column_of, in_percent
from kbench.importers.registry import ImportFormat
from kbench.records.imported import Cell

if TYPE_CHECKING:
    from tensorboardX.proto.event_pb2 import Event

HEAD = struct.Struct("<QI")  # length of a record, and the checksum of that length
SUM = struct.Struct("<I")
START = 1  # status of a SessionLog that begins, or begins again
TORN = "its last record is torn"
LARGEST = 2**16  # bytes of a record that can be a scalar; images and graphs are larger


@dataclass
class Scalars:
    """What the event files of one folder hold: per tag, value and time [s since 1970] of each step."""

    files: list[Path] = field(default_factory=list)
    values: dict[str, dict[int, tuple[float, float]]] = field(default_factory=dict)
    torn: bool = False
    n_purged: int = 0  # values of steps that a restart took back


def read(paths: Sequence[Path], *, percent: bool = False) -> list[Log]:
    """Read the runs below ``paths``; raises ResultsError for files that hold no such scalars.

    ``percent`` says that accuracies are percent, also where none is above 1.
    """
    found: dict[Path, Scalars] = {}
    for path in paths:
        files = sorted(path.rglob("*tfevents*")) if path.is_dir() else [path]
        if not files:
            raise refuse(str(path), "holds no event file (*tfevents*)", do="name the folder that TensorBoard is given")
        for file in files:
            _collect(file, found.setdefault(file.absolute().parent, Scalars()))
    seen: dict[str, list[float]] = {}
    for scalars in found.values():
        for tag, values in scalars.values.items():
            seen.setdefault(tag, []).extend(value for value, _ in values.values())
    in_hundred = {tag for tag, values in seen.items() if in_percent(values, percent=percent)}
    usable = {folder: one for folder, one in found.items() if any(map(column_of, one.values))} or found
    logs = [_log(folder, scalars, in_hundred) for folder, scalars in usable.items()]
    left = [f"{folder} was left out: it has no scalar with a column" for folder in found if folder not in usable]
    return [replace(logs[0], remarks=(*logs[0].remarks, *left)), *logs[1:]]


def _log(folder: Path, scalars: Scalars, percent: set[str]) -> Log:
    rows: dict[int, dict[str, Cell]] = {}
    remarks = []
    for tag, values in sorted(scalars.values.items()):
        column = column_of(tag)
        if column is None:
            remarks.append(f"{tag} was left out: kbench has no column for it")
            continue
        _check_epochs(folder, tag, sorted(values))
        scale = 100 if column in ACCURACIES and tag in percent else 1
        known = [value for value, _ in values.values() if math.isfinite(value)]
        if column in ACCURACIES and known:
            remarks.append(reading(tag, known, percent=tag in percent))
        if len(known) < len(values):
            remarks.append(diverged(len(values) - len(known), tag))
        for step, (value, at) in values.items():
            row = rows.setdefault(step, {"phase": "train", "epoch": step})
            if not math.isfinite(value):
                continue
            row[column] = round(value / scale, 15)
            if column == "val_acc1":
                row["ended_at"] = datetime.fromtimestamp(at, UTC).isoformat()
    if not rows:
        raise refuse(
            str(folder),
            f"no scalar that kbench has a column for, got {', '.join(sorted(scalars.values)) or 'none at all'}",
            do="tags like val_acc1, Accuracy/test, val_loss, train_loss or lr are read",
        )
    if scalars.n_purged:
        remarks.append(f"{folder}: {scalars.n_purged} values of steps that a restart took back were left out")
    epochs = tuple(checked(rows[epoch], f"{folder}: step {epoch}") for epoch in sorted(rows))
    return Log(
        run=folder.name,
        files=tuple(scalars.files),
        epochs=epochs,
        state="interrupted" if scalars.torn else "done",
        error=TORN if scalars.torn else None,
        remarks=tuple(remarks),
    )


def _check_epochs(folder: Path, tag: str, steps: list[int]) -> None:
    for before, step in zip(steps, steps[1:], strict=False):
        if step != before + 1:
            raise refuse(
                str(folder),
                f"{tag}: goes from step {before} to {step}, so that steps are no epochs",
                do="write the scalar with the epoch as its step, or export it as csv",
            )


def _collect(path: Path, scalars: Scalars) -> None:
    scalars.files.append(path)
    event_type = _event_type()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise refuse(str(path), f"cannot be read: {reason(error)}", do="name a file that is there") from error
    if len(data) < HEAD.size:
        raise refuse(str(path), "is no event file" if data else "is empty", do="leave it out")
    for record in _records(data, path, scalars):
        event = event_type()
        event.ParseFromString(record)
        if event.session_log.status == START:
            _purge(scalars, event.step)
        for value in event.summary.value:
            number = _scalar(value)
            if number is not None:  # a later value of the same step is of a resumed run
                scalars.values.setdefault(value.tag, {})[event.step] = (number, event.wall_time)


def _purge(scalars: Scalars, step: int) -> None:
    """Forget what an abandoned attempt wrote: a restart at a step takes back that step and all after it."""
    for values in scalars.values.values():
        for abandoned in [each for each in values if each >= step]:
            del values[abandoned]
            scalars.n_purged += 1


def _records(data: bytes, path: Path, scalars: Scalars) -> Iterator[bytes]:
    """The records of a file; the last one may be torn, as a writer that was killed leaves it."""
    from tensorboardX.crc32c import crc32c

    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            scalars.torn = True
            return
        length, checksum = HEAD.unpack_from(data, at)
        if checksum != _masked(crc32c(data[at : at + 8])):
            raise refuse(str(path), f"is no event file: no record at byte {at}", do="name the format that it is in")
        end = at + HEAD.size + length
        if end + SUM.size > len(data):
            scalars.torn = True
            return
        record = data[at + HEAD.size : end] if length <= LARGEST else b""
        if record and SUM.unpack_from(data, end)[0] != _masked(crc32c(record)):
            raise refuse(str(path), f"is damaged: wrong checksum at byte {at}", do="fetch the file again")
        yield record
        at = end + SUM.size


def _masked(checksum: int) -> int:
    """As TFRecord stores it: rotated by 15 bits, and a constant added."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _scalar(value: Any) -> float | None:
    """The number of a summary, written by either generation of TensorBoard; None where it is none."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    if len(tensor.float_val) == 1:
        return float(tensor.float_val[0])
    if tensor.dtype == 1 and len(tensor.tensor_content) == 4:  # DT_FLOAT
        return float(struct.unpack("<f", tensor.tensor_content)[0])
    return None


def _event_type() -> "Callable[[], Event]":
    try:
        from tensorboardX.proto.event_pb2 import Event
    except ImportError as error:
        raise ConfigError(
            "format tensorboard: needs the library tensorboardX, which is not installed",
            hint="pip install 'kbench[tensorboard]'",
        ) from error
    event_type: Callable[[], Event] = Event
    return event_type


TENSORBOARD = ImportFormat("folders of event files, a run each", read, may_be_percent=True)
