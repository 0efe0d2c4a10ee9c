"""Export as MLPerf logs, a file per run: lines with ``:::MLLOG {json}``, made from the run's records after the event.

Format: mlcommons/logging, mlperf_logging 4.1 (mllog/mllog.py).  ``metadata.file`` and ``lineno`` say where in the
run's folder a line is from.  Of kbench's own are kbench_pair, kbench_strategy, and phase and epoch beside epoch_num,
which counts over all phases from 0.  ``status`` is success where the run came to its end; kbench stops at no target.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.exporters.recipe_keys import Value, left_out, optimizer_keys, scheduler_keys, step_keys
from kbench.exporters.registry import Export, ExportFormat, Submission
from kbench.exporters.timeline import EpochSpans, Ms, Timeline, timeline
from kbench.records import imported
from kbench.records.folders import RunDir
from kbench.records.schema import EpochRecord
from kbench.records.snapshot import RunSnapshot
from kbench.records.store import Tables

MARK = ":::MLLOG"
NOTHING: Mapping[str, object] = {}
Kind = Literal["POINT_IN_TIME", "INTERVAL_START", "INTERVAL_END"]


@dataclass(frozen=True)
class Log:
    """The lines of a run, and what they lack."""

    text: str
    notes: tuple[str, ...]


def export_mllog(gathered: Tables, submission: Submission) -> Export:
    """The log of each run by pair, strategy and seed; imported runs and those without an epoch are left out."""
    folder = gathered.folder
    logs: dict[str, bytes] = {}
    notes: dict[str, int] = {}  # each with the number of runs that it holds for
    for run in folder.read():
        spec = run.spec
        if run.trouble:
            notes[f"{run.run_id} is left out: it is damaged: {run.trouble}"] = 0
            continue
        if not run.epochs or spec is None:
            notes[f"{run.run_id} is left out: it has no epoch yet"] = 0
            continue
        log = run_log(run, submission)
        logs[f"{spec.pair.name}/{spec.strategy.label}/result_{spec.seed}.txt"] = log.text.encode()
        for note in log.notes:
            notes[note] = notes.get(note, 0) + 1
    if imported.runs(folder):
        notes["imported runs are left out: their times are not measured here"] = 0
    if not logs:
        raise ResultsError(f"{folder.path}: holds no run with an epoch", hint="kbench status shows what is missing")
    return Export(logs, tuple(f"{note} ({n} run{'s' * (n > 1)})" if n else note for note, n in notes.items()))


def run_log(run: RunSnapshot, submission: Submission) -> Log:
    """The log of a run; raises ResultsError when it has no epoch yet."""
    records, spec = run.epochs, run.spec
    if not records or spec is None:
        raise ResultsError(f"{run.run_id}: has no epoch yet", hint="kbench status shows what is missing")
    facts, notes = _facts(run, spec, submission)
    times = timeline(run)
    if times.init_start is None:
        notes.append("init_start and init_stop are left out: when the run's first process began is not on record")
    if times.staging is None and run.provenance.stage_s:
        notes.append("staging_start and staging_stop are left out: when data was copied is not on record")
    lines = [*_opening(facts, times), *_epochs(run, times), *_end(run, times)]
    return Log("".join(lines), tuple(note for note in notes if note))


def _facts(run: RunSnapshot, spec: RunSpec, submission: Submission) -> tuple[dict[str, dict[str, object]], list[str]]:
    """Keys and values by the file that they are from, and what is missing."""
    recipe, known = spec.pair.recipe, _recorded(run, submission)
    steps, why = _steps(run, spec)
    notes = [f"{key} is left out: {_unknown(key)}" for key, value in known.items() if value is None]
    facts: dict[str, dict[str, object]] = {
        "": {
            "submission_benchmark": spec.pair.dataset,
            "submission_division": submission.division,
            "submission_status": submission.status,
            "cache_clear": submission.cache_cleared,
        },
        "provenance.json": {key: value for key, value in known.items() if value is not None},
        "spec.json": {
            "kbench_pair": spec.pair.name,
            "kbench_strategy": spec.strategy.label,
            "seed": spec.seed,
            "number_of_ranks": spec.ranks,
            "global_batch_size": recipe.global_batch,
            "gradient_accumulation_frequency": recipe.accumulate,
            # in ranks; smaller groups than a rank's own samples have no key there
            "batchnorm_group_size": max(1, recipe.batchnorm_group * spec.ranks // recipe.global_batch),
            **optimizer_keys(recipe),
            **scheduler_keys(recipe),
            **(step_keys(recipe, steps_per_epoch=steps) if steps else {}),
        },
        "epochs.jsonl": {"train_samples": run.epochs[0].n_samples},
    }
    return facts, [*notes, *left_out(recipe), _seed(spec), why]


def _seed(spec: RunSpec) -> str:
    return "MLPerf's rules for DeepCAM refuse the seed 0" if spec.pair.dataset == "deepcam" and not spec.seed else ""


def _recorded(run: RunSnapshot, submission: Submission) -> dict[str, Value | None]:
    """What the submitter stated and the run recorded of itself; None is what neither did."""
    provenance = run.provenance
    n_nodes, n_devices = len(provenance.hosts), provenance.n_devices
    per_node = n_devices // n_nodes if n_nodes and n_devices is not None else None
    machine = None if per_node is None else f"{n_nodes} x {per_node or 1} {provenance.device_name}"
    return {
        "submission_org": submission.org or None,
        "submission_platform": submission.platform or machine,
        "number_of_nodes": n_nodes or None,
        "accelerators_per_node": per_node,
        "eval_samples": provenance.n_val,
    }


def _unknown(key: str) -> str:
    return "say it with --org" if key == "submission_org" else "the run did not record it"


def _steps(run: RunSnapshot, spec: RunSpec) -> tuple[int, str]:
    """Steps of every epoch, or 0 and why the schedule cannot be told in steps."""
    recipe, why = spec.pair.recipe, f"the schedule in steps is left out for {spec.strategy.label}: "
    records = run.epochs
    steps = records[0].n_samples // recipe.global_batch
    if run.n_epochs != recipe.epochs or len({record.phase for record in records}) > 1:
        return 0, why + "it has phases or a length of its own"
    if any(record.n_trained != steps * recipe.global_batch for record in records):
        return 0, why + "its epochs differ in steps"
    return steps, ""


def _opening(facts: Mapping[str, Mapping[str, object]], times: Timeline) -> Iterator[str]:
    began = times.run_start if times.init_start is None else times.init_start
    for file, found in facts.items():
        for key, value in found.items():
            yield _line(key, began, value=value, file=file)
    if times.init_start is not None:
        yield _line("init_start", times.init_start, "INTERVAL_START", file="provenance.json")
        yield _line("init_stop", times.run_start, "INTERVAL_END", file="provenance.json")
    yield _line("run_start", times.run_start, "INTERVAL_START", file="provenance.json")
    if times.staging:
        yield _line("staging_start", times.staging.start, "INTERVAL_START", file="provenance.json")
        yield _line("staging_stop", times.staging.stop, "INTERVAL_END", file="provenance.json")


def _epochs(run: RunSnapshot, times: Timeline) -> Iterator[str]:
    metric, line_numbers = run.provenance.metric, _line_numbers(run)
    for n, (record, spans) in enumerate(zip(run.epochs, times.epochs, strict=True)):
        about = {"epoch_num": n, "phase": record.phase, "epoch": record.epoch}
        lineno = line_numbers.get((record.attempt, record.phase, record.epoch), 0)
        yield from _epoch(record, spans, {"metric": metric} if metric else {}, about, lineno)


def _epoch(
    record: EpochRecord, spans: EpochSpans, measure: Mapping[str, object], about: Mapping[str, object], lineno: int
) -> Iterator[str]:
    def line(
        key: str, at: Ms, kind: Kind = "POINT_IN_TIME", value: object = None, more: Mapping[str, object] = NOTHING
    ) -> str:
        return _line(key, at, kind, value=value, file="epochs.jsonl", lineno=lineno, about={**about, **more})

    tracked = ("n_trained", "n_hidden", "n_scored", "n_refreshed", "lr", "lr_scale", "train_loss", "train_acc")
    yield line("epoch_start", spans.training.start, "INTERVAL_START")
    yield line("tracked_stats", spans.training.stop, value={name: getattr(record, name) for name in tracked})
    yield line("epoch_stop", spans.training.stop, "INTERVAL_END")
    yield line("eval_start", spans.evaluation.start, "INTERVAL_START")
    yield line("eval_accuracy", spans.evaluation.stop, value=record.val_acc1, more=measure)
    yield line("eval_stop", spans.evaluation.stop, "INTERVAL_END")


def _end(run: RunSnapshot, times: Timeline) -> Iterator[str]:
    """How the run ended; nothing where it has not, or where nobody recorded it."""
    if times.run_stop is not None:
        file, status = ("done.json", "success") if run.done else ("failed.json", "aborted")
        yield _line("run_stop", times.run_stop, "INTERVAL_END", file=file, about={"status": status})


def _line_numbers(run: RunSnapshot) -> dict[tuple[int, str, int], int]:
    """In which entry of the journal, from 1, each epoch of each attempt stands."""
    entries = enumerate(files.read(RunDir(run.path).journal), start=1)
    return {(each.get("attempt", 0), each.get("phase", ""), each.get("epoch", -1)): n for n, each in entries}


def _line(
    key: str,
    at: Ms,
    kind: Kind = "POINT_IN_TIME",
    *,
    value: object = None,
    file: str = "",
    lineno: int = 1,
    about: Mapping[str, object] = NOTHING,
) -> str:
    entry = {
        "namespace": "",
        "time_ms": at,
        "event_type": kind,
        "key": key,
        "value": value,
        "metadata": {"file": file or "kbench/exporters/mllog.py", "lineno": lineno, **about},
    }
    return f"{MARK} {json.dumps(entry, allow_nan=False)}\n"


MLLOG = ExportFormat("MLPerf logs, a file per run", export_mllog)
