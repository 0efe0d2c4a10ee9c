"""Provenance: where, when and with what the runs were made, and how each ended."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kbench.analysis.frame import Frames
from kbench.html_report.settings import Setting
from kbench.records.run_files import Provenance

GATHERED = {  # columns of runs.parquet
    "torch_version": "torch", "device_name": "device", "n_devices": "GPUs", "hosts": "hosts", "launcher": "launcher",
    "ranks": "ranks", "threads_per_rank": "threads per rank", "max_parallel": "runs at a time",
}  # fmt: skip
WRITTEN = {  # in provenance.json only
    "kbench_version": "kbench", "python_version": "Python", "numpy_version": "numpy", "platform": "platform",
    "processor": "processor",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run in one line."""

    run_id: str
    state: str
    epochs: str
    best: str  # [%]
    final: str  # [%]
    seconds: str
    where: str
    ended: str
    source: str  # the format of the logs of others that it was read from; empty: measured
    error: str


def provenance(frames: Frames) -> list[Setting]:
    """What is on record of all runs; where they differ, each value with the number of its runs."""
    runs = _records(frames)
    written = [frames.folder.run(run["run_id"]).read_provenance() if frames.folder else Provenance() for run in runs]
    columns = {
        "source of kbench": [_commit(run) for run in runs],
        **{name: [getattr(entry, key) for entry in written] for key, name in WRITTEN.items()},
        **{name: [run[key] for run in runs] for key, name in GATHERED.items()},
        "not the official data set": [run["dataset_note"] for run in runs],
        "read from logs of others": [run["imported_from"] for run in runs],
    }
    found = [Setting(name, tuple(_counted(values))) for name, values in columns.items()]
    return [setting for setting in [*found, *_when(runs)] if setting.values]


def runs(frames: Frames) -> list[Run]:
    """Every run, done or not, in the order of the file."""
    return [_run(run) for run in _records(frames)]


def states(frames: Frames) -> str:
    """How many runs are done, failed and so on."""
    return ", ".join(f"{n:,} {state}" for state, n in Counter(frames.runs["state"]).most_common())


def _run(run: Mapping[str, Any]) -> Run:
    return Run(
        run_id=run["run_id"],
        state=run["state"],
        epochs=_text(run["epochs_done"]),
        best="" if run["best_acc1"] is None else f"{100 * run['best_acc1']:.2f}",
        final="" if run["final_acc1"] is None else f"{100 * run['final_acc1']:.2f}",
        seconds="" if run["total_train_s"] is None else f"{run['total_train_s']:,.1f}",
        where=", ".join(_text(run[key]) for key in ("hosts", "device_name") if run[key] is not None),
        ended=_moment(run["ended_at"]),
        source=_text(run["imported_from"]),
        error=_text(run["error"]),
    )


def _records(frames: Frames) -> list[dict[str, Any]]:
    """The runs; what is not known is None, whatever pandas made of it."""
    records = frames.runs.to_dict("records")
    return [{str(key): None if value != value else value for key, value in record.items()} for record in records]


def _commit(run: Mapping[str, Any]) -> str | None:
    if run["commit"] is None:
        return None
    return f"{run['commit']}{', with uncommitted changes' if run['dirty'] else ''}"


def _counted(values: Iterable[Any]) -> Iterator[str]:
    """Each value that is known; how many runs have it where not all do."""
    counts = Counter(map(_text, values))
    for value, n in counts.items():
        if value:
            yield value if len(counts) == 1 else f"{value} ({n} run{'s' * (n > 1)})"


def _when(runs: Iterable[Mapping[str, Any]]) -> Iterator[Setting]:
    moments = [run[key] for run in runs for key in ("started_at", "ended_at") if run[key] is not None]
    if moments:
        yield Setting("when", (f"{_moment(min(moments))} to {_moment(max(moments))}",))


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _text(value: Any) -> str:
    """A value; counts that pandas made floats of are whole again."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
