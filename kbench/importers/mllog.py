"""Import from MLPerf logs: lines with ``:::MLLOG {json}``, whatever stands before it.  One file is one run.

Keys that are read: submission_benchmark, seed, train_samples, number_of_ranks, run_start/stop, staging_start/stop,
epoch_start/stop, eval_start/stop, eval_accuracy.  ``train_s`` is an epoch's interval less the evaluations within it.
Errors that are no accuracy (eval_error) have no column here.  Of kbench's own logs also kbench_pair, kbench_strategy.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kbench.importers.log import Log, State, checked, read_lines, refuse, with_elapsed
from kbench.importers.registry import ImportFormat
from kbench.records.imported import Cell

MARK = ":::MLLOG"


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
        if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number) or number < 0:
            raise refuse(self.place, f"epoch_num: must be a whole number from 0, got {number!r}", do="mend the line")
        return int(number)


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
    events = _events(path)
    rows = _rows(events)
    if not rows:
        raise refuse(str(path), "tells of no epoch: neither epoch_stop nor eval_accuracy", do="leave it out")
    (state, error), staging, phases = _end(events), _intervals(events, "staging"), _phases(events)
    for epoch, row in rows.items():
        row |= {"n_samples": _whole(events, "train_samples"), **phases.get(epoch, {})}
    epochs = [checked(rows[epoch], f"{path}: epoch {epoch}") for epoch in sorted(rows)]
    started, ended, strategy = (_first(events, key) for key in ("run_start", "run_stop", "kbench_strategy"))
    pair = _first(events, "kbench_pair", "submission_benchmark")
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
        stage_s=sum(each.seconds for each in staging) if staging else None,
        started_at=_time(started.at_ms) if started else None,
        ended_at=_time(ended.at_ms) if ended else None,
        remarks=_remarks(events),
    )


def _events(path: Path) -> list[Event]:
    found = []
    for n, line in enumerate(read_lines(path), start=1):
        _, mark, text = line.partition(MARK)
        if not mark:
            continue
        place = f"{path}:{n}"
        try:
            entry = json.loads(text)
            event = Event(
                str(entry["key"]), entry.get("value"), float(entry["time_ms"]), entry.get("metadata") or {}, place
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise refuse(
                place,
                f"must be {MARK} and an object with key and time_ms, got {text.strip()[:60]!r}",
                do="the line is torn; remove it",
            ) from error
        found.append(event)
    if not found:
        raise refuse(str(path), f"has no line with {MARK}", do="name the format that it is in")
    if sum(event.key == "run_start" for event in found) > 1:
        raise refuse(str(path), "holds several runs: run_start comes more than once", do="split it, a file per run")
    return found


def _rows(events: Sequence[Event]) -> dict[int, dict[str, Cell]]:
    """What is known of each epoch that ended or was evaluated."""
    evaluations = _intervals(events, "eval")
    rows: dict[int, dict[str, Cell]] = {}
    for interval in _intervals(events, "epoch"):
        if interval.epoch is not None:
            row = rows.setdefault(interval.epoch, {"phase": "train", "epoch": interval.epoch})
            row["train_s"] = interval.seconds - sum(each.within(interval) for each in evaluations)
            row["ended_at"] = _time(interval.stop_ms).isoformat()
    for event in events:
        if event.key == "eval_accuracy" and event.epoch is not None:
            row = rows.setdefault(event.epoch, {"phase": "train", "epoch": event.epoch})
            row["val_acc1"] = _accuracy(event)  # the last one of an epoch is the one after it
            row["ended_at"] = max(str(row.get("ended_at", "")), _time(event.at_ms).isoformat())
    for each in evaluations:
        if each.epoch in rows:
            before = rows[each.epoch].get("eval_s") or 0.0
            rows[each.epoch]["eval_s"] = float(before) + each.seconds
    with_elapsed([rows[epoch] for epoch in sorted(rows)])
    return rows


def _phases(events: Sequence[Event]) -> dict[int | None, dict[str, Cell]]:
    """Phase and epoch within it of each epoch_num, where a log of kbench's holds them."""
    phased = [event for event in events if {"phase", "epoch"} <= event.metadata.keys()]
    return {event.epoch: {name: event.metadata[name] for name in ("phase", "epoch")} for event in phased}


def _intervals(events: Sequence[Event], name: str) -> list[Interval]:
    """Every ``name``_start with the ``name``_stop after it; one without a stop was cut off."""
    found: list[Interval] = []
    start: Event | None = None
    for event in events:
        if event.key == f"{name}_start":
            start = event
        elif event.key == f"{name}_stop" and start is not None:
            if event.at_ms < start.at_ms:
                raise refuse(
                    event.place, f"{event.key}: is before its start", do="the clock was set back; leave the log out"
                )
            found.append(Interval(event.epoch if event.epoch is not None else start.epoch, start.at_ms, event.at_ms))
            start = None
    return found


def _accuracy(event: Event) -> float:
    if isinstance(event.value, bool) or not isinstance(event.value, int | float) or not 0 <= event.value <= 1:
        raise refuse(
            event.place,
            f"eval_accuracy: must be in [0, 1], got {event.value!r}",
            do="other measures have no column here",
        )
    return float(event.value)


def _end(events: Sequence[Event]) -> tuple[State, str | None]:
    stop = _first(events, "run_stop")
    if stop is None:
        return "interrupted", "its log has no run_stop"
    status = str(stop.metadata.get("status", ""))
    return ("done", None) if status in ("success", "") else ("failed", f"run_stop says {status}")


def _remarks(events: Sequence[Event]) -> tuple[str, ...]:
    left = {each.key for each in events if each.key.startswith("eval_")} - {"eval_start", "eval_stop", "eval_accuracy"}
    return tuple(f"{key} was left out: kbench has no column for it" for key in sorted(left))


def _first(events: Sequence[Event], *keys: str) -> Event | None:
    return next((event for key in keys for event in events if event.key == key), None)


def _whole(events: Sequence[Event], key: str) -> int | None:
    event = _first(events, key)
    value = event.value if event else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _time(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


MLLOG = ImportFormat("MLPerf logs, a file per run", read)
