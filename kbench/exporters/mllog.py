"""A run as an MLPerf log: lines with ``:::MLLOG {json}``, made from its records after the event.

Format: mlcommons/logging, mlperf_logging 4.1 (mllog/mllog.py).  ``metadata.file`` and ``lineno`` say where in the
run's folder a line is from.  Of kbench's own are kbench_pair, kbench_strategy, and phase and epoch beside epoch_num,
which counts over all phases from 0.  ``status`` is success where the run came to its end; kbench stops at no target.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.exporters.recipe_keys import Value, left_out, optimizer_keys, scheduler_keys, step_keys
from kbench.exporters.timeline import EpochMoments, Moments, Ms, moments
from kbench.records.folders import RunDir
from kbench.records.schema import EpochRecord
from kbench.records.snapshot import RunSnapshot

MARK = ":::MLLOG"
Kind = Literal["POINT_IN_TIME", "INTERVAL_START", "INTERVAL_END"]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a submitter says of the runs; kbench cannot know it.  Empty: not said."""

    org: str = ""
    platform: str = ""
    division: str = "open"  # closed or open
    status: str = "research"  # cloud, onprem, preview or research
    cache_cleared: bool = False  # by the submitter; kbench clears none


@dataclass(frozen=True)
class Log:
    """The lines of a run, and what they lack."""

    text: str
    notes: tuple[str, ...]


def mllog(run: RunSnapshot, submission: Submission) -> Log:
    """Write the log of a run; raises ResultsError when it has no epoch yet."""
    records, spec = run.epochs, run.spec
    if not records or spec is None:
        raise ResultsError(f"{run.run_id}: has no epoch yet", hint="kbench status shows what is missing")
    facts, notes = _facts(run, spec, submission)
    course = moments(run)
    if course.init_start is None:
        notes.append("init_start and init_stop are left out: when the run's first process began is not on record")
    if course.staging is None and run.provenance.stage_s:
        notes.append("staging_start and staging_stop are left out: when data was copied is not on record")
    lines = [*_opening(facts, course), *_epochs(run, course), *_end(run, course)]
    return Log("".join(lines), tuple(note for note in notes if note))


def _facts(run: RunSnapshot, spec: RunSpec, said: Submission) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Keys and values by the file that they are from, and what is missing."""
    recipe, known = spec.pair.recipe, _recorded(run, said)
    steps, why = _steps(run, spec)
    notes = [f"{key} is left out: {_unknown(key)}" for key, value in known.items() if value is None]
    facts: dict[str, dict[str, Any]] = {
        "": {
            "submission_benchmark": spec.pair.dataset,
            "submission_division": said.division,
            "submission_status": said.status,
            "cache_clear": said.cache_cleared,
        },
        "provenance.json": {key: value for key, value in known.items() if value is not None},
        "spec.json": {
            "kbench_pair": spec.pair.name,
            "kbench_strategy": spec.strategy.label,
            "seed": spec.seed,
            "number_of_ranks": spec.ranks,
            "global_batch_size": recipe.global_batch,
            "gradient_accumulation_frequency": 1,
            "batchnorm_group_size": 1,  # statistics are of a rank's own samples
            **optimizer_keys(recipe),
            **scheduler_keys(recipe),
            **(step_keys(recipe, steps_per_epoch=steps) if steps else {}),
        },
        "epochs.jsonl": {"train_samples": run.epochs[0].n_samples},
    }
    return facts, [*notes, *left_out(recipe), _seed(spec), why]


def _seed(spec: RunSpec) -> str:
    return "MLPerf's rules for DeepCAM refuse the seed 0" if spec.pair.dataset == "deepcam" and not spec.seed else ""


def _recorded(run: RunSnapshot, said: Submission) -> dict[str, Value | None]:
    """What the submitter said and the run recorded of itself; None is what neither did."""
    made_by = run.provenance
    n_nodes, n_devices = len(made_by.hosts), made_by.n_devices
    per_node = n_devices // n_nodes if n_nodes and n_devices is not None else None
    machine = None if per_node is None else f"{n_nodes} x {per_node or 1} {made_by.device_name}"
    return {
        "submission_org": said.org or None,
        "submission_platform": said.platform or machine,
        "number_of_nodes": n_nodes or None,
        "accelerators_per_node": per_node,
        "eval_samples": made_by.n_val,
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


def _opening(facts: Mapping[str, Mapping[str, Any]], course: Moments) -> Iterator[str]:
    began = course.run_start if course.init_start is None else course.init_start
    for file, found in facts.items():
        for key, value in found.items():
            yield _line(key, began, value=value, file=file)
    if course.init_start is not None:
        yield _line("init_start", course.init_start, "INTERVAL_START", file="provenance.json")
        yield _line("init_stop", course.run_start, "INTERVAL_END", file="provenance.json")
    yield _line("run_start", course.run_start, "INTERVAL_START", file="provenance.json")
    if course.staging:
        yield _line("staging_start", course.staging.start, "INTERVAL_START", file="provenance.json")
        yield _line("staging_stop", course.staging.stop, "INTERVAL_END", file="provenance.json")


def _epochs(run: RunSnapshot, course: Moments) -> Iterator[str]:
    metric, places = run.provenance.metric, _places(run)
    for n, (record, when) in enumerate(zip(run.epochs, course.epochs, strict=True)):
        about = {"epoch_num": n, "phase": record.phase, "epoch": record.epoch}
        lineno = places.get((record.attempt, record.phase, record.epoch), 0)
        yield from _epoch(record, when, {"metric": metric} if metric else {}, about, lineno)


def _epoch(
    record: EpochRecord, when: EpochMoments, measure: dict[str, Any], about: dict[str, Any], lineno: int
) -> Iterator[str]:
    def line(key: str, at: Ms, kind: Kind = "POINT_IN_TIME", value: object = None, **more: Any) -> str:
        return _line(key, at, kind, value=value, file="epochs.jsonl", lineno=lineno, **about, **more)

    tracked = ("n_trained", "n_hidden", "n_scored", "n_refreshed", "lr", "lr_scale", "train_loss", "train_acc")
    yield line("epoch_start", when.training.start, "INTERVAL_START")
    yield line("tracked_stats", when.training.stop, value={name: getattr(record, name) for name in tracked})
    yield line("epoch_stop", when.training.stop, "INTERVAL_END")
    yield line("eval_start", when.evaluation.start, "INTERVAL_START")
    yield line("eval_accuracy", when.evaluation.stop, value=record.val_acc1, **measure)
    yield line("eval_stop", when.evaluation.stop, "INTERVAL_END")


def _end(run: RunSnapshot, course: Moments) -> Iterator[str]:
    """How the run ended; nothing where it has not, or where nobody recorded it."""
    if course.run_stop is not None:
        file, status = ("done.json", "success") if run.done else ("failed.json", "aborted")
        yield _line("run_stop", course.run_stop, "INTERVAL_END", file=file, status=status)


def _places(run: RunSnapshot) -> dict[tuple[int, str, int], int]:
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
    **about: Any,
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
