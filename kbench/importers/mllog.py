"""Import from MLPerf logs: lines with ``:::MLLOG {json}``, whatever stands before it.  One file is one run.

Older tags: ``:::MLL seconds key: {json}`` of v0.6, ``:::MLPv0.5.0 benchmark seconds (file:line) key: value``.
Keys that are read: submission_benchmark, seed, train_samples, global_batch_size,
number_of_ranks, run_start/stop, staging_start/stop,
epoch_start/stop, eval_start/stop, eval_accuracy, eval_loss.  ``train_s`` is an epoch less its own evaluations.
What follows run_stop is no part of the run.  Of kbench's own logs also kbench_pair, kbench_strategy.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kbench.importers.log import INT64, Log, State, checked, read_lines, refuse, with_elapsed
from kbench.importers.registry import ImportFormat
from kbench.records.imported import Cell

MARK = ":::MLLOG"
MARKED = re.compile(r":::(?:MLLOG(?P<v1>.*)|MLL (?P<v06>[\d.]+ .*)|MLPv0\.5\.\d \S+ (?P<v05>[\d.]+ \(.*?\) .*))$")
METRICS = {"deepcam": "mean_iou", "resnet": "top1", "resnet50": "top1", "imagenet": "top1"}  # else: accuracy
LAST_MS = 253_402_300_799_000  # of the year 9999


@dataclass(frozen=True)
class Event:
    """One line of the log."""

    key: str
    value: Any
    at_ms: float
    metadata: dict[str, Any]
    place: str

    @property
    def epoch(self) -> int | None:
        """The epoch that the line names; None where it names none."""
        number = self.metadata.get("epoch_num")
        if number is None:
            return None
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not 0 <= number < INT64 or number != int(number):
            raise refuse(self.place, f"epoch_num: must be a whole number from 0, got {number!r}", do="mend the line")
        return int(number)

    @property
    def is_measure(self) -> bool:
        """Whether its value is a finite number that a double holds."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return False
        return -1e300 < self.value < 1e300


@dataclass(frozen=True)
class Interval:
    """From a start to the stop that follows it."""

    epoch: int | None
    start_ms: float
    stop_ms: float

    @property
    def seconds(self) -> float:
        return (self.stop_ms - self.start_ms) / 1000

    def within(self, other: "Interval") -> float:
        """Seconds of this interval that lie in ``other``."""
        return max(0.0, min(self.stop_ms, other.stop_ms) - max(self.start_ms, other.start_ms)) / 1000


def read(paths: Sequence[Path]) -> list[Log]:
    """Read the run of each file, all files of a folder; raises ResultsError, with file and line."""
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path]) if file.is_file()]
    if not files:
        raise refuse(str(paths[0]), "holds no file", do="name the log files")
    return [_log(path) for path in files]


def _log(path: Path) -> Log:
    events, remarks = _until_stop(_events(path))
    rows = _rows(events)
    if not rows:
        raise refuse(str(path), "tells of no epoch: neither epoch_stop nor eval_accuracy", do="leave it out")
    (state, error), staging, phases = _end(events), _intervals(events, "staging"), _phases(events)
    for epoch, row in rows.items():
        row |= {"n_samples": _whole(events, "train_samples"), **phases.get(epoch, {})}
    epochs = [checked(rows[epoch], f"{path}: epoch {epoch}") for epoch in sorted(rows)]
    started, ended, strategy = (_first(events, key) for key in ("run_start", "run_stop", "kbench_strategy"))
    pair, benchmark = _first(events, "kbench_pair", "submission_benchmark"), _first(events, "submission_benchmark")
    return Log(
        run=path.stem,
        files=(path,),
        epochs=tuple(epochs),
        state=state,
        error=error,
        pair=str(pair.value) if pair else None,
        strategy=str(strategy.value) if strategy else path.absolute().parent.name,
        seed=_whole(events, "seed"),
        ranks=_whole(events, "number_of_ranks"),
        global_batch=_whole(events, "global_batch_size"),
        stage_s=sum(each.seconds for each in staging) if staging else None,
        started_at=_time(started.at_ms) if started else None,
        ended_at=_time(ended.at_ms) if ended else None,
        remarks=(*remarks, *_remarks(events)),
        metric=METRICS.get(str(benchmark.value), "accuracy") if benchmark else "accuracy",
    )


def _events(path: Path) -> list[Event]:
    found = []
    for n, line in enumerate(read_lines(path, errors="replace"), start=1):  # progress bars may be torn anywhere
        match = MARKED.search(line)
        if match is None:
            continue
        place = f"{path}:{n}"
        try:
            event = _event(match, place)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise refuse(
                place,
                f"must be {MARK} and an object with key and time_ms, got {line[match.start():][:70]!r}",
                do="the line is torn; remove it",
            ) from error
        found.append(event)
    if not found:
        raise refuse(str(path), f"has no line with {MARK}", do="name the format that it is in")
    if sum(event.key == "run_start" for event in found) > 1:
        raise refuse(str(path), "holds several runs: run_start comes more than once", do="split it, a file per run")
    return found


def _event(match: re.Match[str], place: str) -> Event:
    """The event of a line; raises an error of Python's where it is none."""
    if match["v1"] is not None:
        entry = json.loads(match["v1"])
        key, value, at_ms, metadata = entry["key"], entry.get("value"), float(entry["time_ms"]), entry.get("metadata")
    elif match["v06"] is not None:
        seconds, _, rest = match["v06"].partition(" ")
        key, _, text = rest.partition(": ")
        entry = json.loads(text)
        value, at_ms, metadata = entry.get("value"), 1000 * float(seconds), entry.get("metadata")
    else:
        seconds, _, rest = match["v05"].partition(" ")
        key, _, text = rest.partition(") ")[2].partition(": ")
        value, at_ms, metadata = _value_of_v05(key, text), 1000 * float(seconds), {}
        if isinstance(value, dict):
            metadata = {"epoch_num": value.get("epoch")}
            value = value.get("value", value)
        elif key in ("train_epoch", "eval_start", "eval_stop"):
            metadata = {"epoch_num": value}
    if not 0 <= at_ms <= LAST_MS or not isinstance(metadata or {}, dict):
        raise ValueError(f"time_ms {at_ms}")
    return Event(str(key).strip(), value, at_ms, metadata or {}, place)


def _value_of_v05(key: str, text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text  # v0.5 wrote texts without quotes


def _until_stop(events: Sequence[Event]) -> tuple[list[Event], list[str]]:
    """The events of the run itself, and a remark on those that its log has after run_stop."""
    stop = next((i for i, event in enumerate(events) if event.key == "run_stop"), len(events))
    after = events[stop + 1 :]
    epochs = {event.epoch for event in after if event.key == "epoch_stop"}
    remark = f"{after[0].place}: {len(after)} lines after run_stop were left out" if after else ""
    remark += f", {len(epochs)} epochs with them" if epochs else ""
    return list(events[: stop + 1]), [remark] if remark else []


def _rows(events: Sequence[Event]) -> dict[int, dict[str, Cell]]:
    """What is known of each epoch that ended or was evaluated."""
    evaluations = _intervals(events, "eval")
    rows: dict[int, dict[str, Cell]] = {}
    for interval in _intervals(events, "epoch"):
        if interval.epoch is not None:
            row = rows.setdefault(interval.epoch, {"phase": "train", "epoch": interval.epoch})
            own = [each for each in evaluations if each.epoch in (None, interval.epoch)]
            row["train_s"] = interval.seconds - sum(each.within(interval) for each in own)
            row["ended_at"] = _time(interval.stop_ms).isoformat()
    for event in events:
        column = {"eval_accuracy": "val_acc1", "eval_loss": "val_loss"}.get(event.key)
        if column is None or event.epoch is None or not _has_column(event):
            continue
        row = rows.setdefault(event.epoch, {"phase": "train", "epoch": event.epoch})
        row[column] = float(event.value)  # the last one of an epoch is the one after it
        row["ended_at"] = max(str(row.get("ended_at", "")), _time(event.at_ms).isoformat())
    for each in evaluations:
        if each.epoch in rows:
            before = rows[each.epoch].get("eval_s") or 0.0
            rows[each.epoch]["eval_s"] = float(str(before)) + each.seconds
    with_elapsed([rows[epoch] for epoch in sorted(rows)])
    return rows


def _phases(events: Sequence[Event]) -> dict[int | None, dict[str, Cell]]:
    """Phase and epoch within it of each epoch_num, where a log of kbench's holds them."""
    phased = [event for event in events if {"phase", "epoch"} <= event.metadata.keys()]
    return {event.epoch: {name: event.metadata[name] for name in ("phase", "epoch")} for event in phased}


def _intervals(events: Sequence[Event], name: str) -> list[Interval]:
    """Every ``name``_stop with the ``name``_start of its epoch; one without a stop was cut off.

    The evaluation of an epoch may run while the next one trains: the numbers tell which belongs to which.
    """
    found: list[Interval] = []
    opened: dict[int | None, Event] = {}
    for event in events:
        if event.key == f"{name}_start":
            opened.pop(event.epoch, None)
            opened[event.epoch] = event
        elif event.key == f"{name}_stop" and opened:
            latest = next(reversed(opened)) if event.epoch is None else event.epoch
            start = opened.pop(latest if latest in opened else None, None)
            if start is None:
                continue
            if event.at_ms < start.at_ms:
                raise refuse(
                    event.place, f"{event.key}: is before its start", do="the clock was set back; leave the log out"
                )
            found.append(Interval(event.epoch if event.epoch is not None else start.epoch, start.at_ms, event.at_ms))
    return found


def _has_column(event: Event) -> bool:
    """Whether a measure can be what its column holds."""
    return event.is_measure and (event.key == "eval_loss" or 0 <= event.value <= 1)


def _end(events: Sequence[Event]) -> tuple[State, str | None]:
    stop = _first(events, "run_stop")
    if stop is None:
        return "interrupted", "its log has no run_stop"
    status = str(stop.metadata.get("status", ""))
    return ("done", None) if status in ("success", "") else ("failed", f"run_stop says {status}")


def _remarks(events: Sequence[Event]) -> tuple[str, ...]:
    """What was left out, and why; and that epochs overlap."""
    read = {"eval_start", "eval_stop", "eval_accuracy", "eval_loss"}
    left = {each.key for each in events if each.key.startswith("eval_")} - read
    found = [f"{key} was left out: kbench has no column for it" for key in sorted(left)]
    for key, what in (("eval_accuracy", "no fraction from 0 to 1"), ("eval_loss", "no number")):
        odd = [each for each in events if each.key == key and each.epoch is not None and not _has_column(each)]
        if odd:
            first = f"{str(odd[0].value)[:30]} in {odd[0].place}"
            found.append(f"{key} was left out {_times(len(odd))}: it is {what} (first {first})")
        if nameless := sum(each.key == key and each.epoch is None for each in events):
            found.append(f"{key} was left out {_times(nameless)}: the line names no epoch (epoch_num)")
    if any(each.key == "train_epoch" for each in events):
        found.append("train_epoch has no stop in this version: the seconds of epochs are unknown")
    epochs = sorted(_intervals(events, "epoch"), key=lambda each: each.start_ms)
    n = sum(after.start_ms < before.stop_ms for before, after in zip(epochs, epochs[1:], strict=False))
    if n:
        found.append(f"{n} epochs begin before the one before them ends; each counts its own evaluation as no training")
    return tuple(found)


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _first(events: Sequence[Event], *keys: str) -> Event | None:
    return next((event for key in keys for event in events if event.key == key), None)


def _whole(events: Sequence[Event], key: str) -> int | None:
    event = _first(events, key)
    value = event.value if event else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < INT64 else None


def _time(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


MLLOG = ImportFormat("MLPerf logs, a file per run", read)
