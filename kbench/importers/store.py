"""Import logs into the store of results: the same log once, another one of the same name never."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import kbench
from kbench.config.parse import did_you_mean
from kbench.errors import ConfigError, ResultsError
from kbench.files import reason
from kbench.importers.log import Log, mark_interrupted
from kbench.importers.naming import Name, Naming, check_name, name_logs, parse_rule, plain_name
from kbench.importers.registry import FORMATS, import_format
from kbench.records import imported
from kbench.records.folders import ExperimentDir
from kbench.records.imported import File, Imported


@dataclass(frozen=True)
class StoredImport:
    """An imported run in the store, and whether it came just now."""

    facts: Imported
    log: Log
    is_new: bool


def import_logs(
    form: str,
    paths: Sequence[Path],
    results: Path,
    *,
    naming: Naming,
    epochs: int | None = None,
    percent: bool = False,
) -> tuple[ExperimentDir, list[StoredImport]]:
    """Read results that others wrote, in a format of ``registry.FORMATS``, into the folder of all results.

    Args:
        form: The name of the format.
        paths: Files or folders.
        results: The folder of all results.
        naming: How the runs are to be called.
        epochs: How many epochs a run was to take; a log with fewer is marked as interrupted.
        percent: Whether accuracies are percent, also where none is above 1.

    Raises:
        ConfigError: The format or a name is none.
        ResultsError: A file is not there or not in that format, or the store holds another run of that name.
    """
    if form not in FORMATS:
        raise ConfigError(f"unknown format {form!r}{did_you_mean(form, FORMATS)}")
    for rule in naming.rules:
        parse_rule(rule)  # a mistake in one is told before anything is read
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ResultsError(f"{missing[0]}: no such file or folder", hint="name files or folders that are there")
    style = import_format(form)
    if percent and not style.may_be_percent:
        raise ConfigError(f"--percent: {form} says itself what its accuracies are", hint="leave it out")
    logs = style.read(paths, percent=True) if percent else style.read(paths)
    if epochs is not None or style.equal_lengths:
        logs = mark_interrupted(logs, epochs)
    seen: dict[Path, str] = {}
    sums = [digests(log, seen) for log in logs]
    fallback = plain_name(paths[0].absolute().stem if paths[0].is_file() else paths[0].absolute().name)
    names = name_logs(logs, naming, digests=sums, fallback=fallback)
    known = {name.known_from for name in names}
    default = next(iter(known)) if len(known) == 1 else None
    folder = ExperimentDir(results / check_name(naming.experiment or default or fallback, "--experiment"))
    return folder, store_logs(folder, form, logs, names, sums)


def digests(log: Log, seen: dict[Path, str]) -> tuple[str, ...]:
    """The sha256 of each file of a log; ``seen`` keeps those of files that several logs share."""
    for path in log.files:
        if path not in seen:
            seen[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return tuple(seen[path] for path in log.files)


def store_logs(
    folder: ExperimentDir, form: str, logs: Sequence[Log], names: Sequence[Name], sums: Sequence[Sequence[str]]
) -> list[StoredImport]:
    """Write the runs that are not there yet; all of them or, where one is refused, none.

    ``sums`` are the sha256 of each log's files.
    Raises ResultsError where another log or a measured run has the name, or the log has another.
    """
    there = [run.facts for run in map(imported.read, imported.runs(folder)) if run.facts]
    measured = {tuple(run.run_id.split(".")[:2]) for run in folder.all_runs()}
    facts = [_facts(folder, form, *each) for each in zip(logs, names, sums, strict=True)]
    stored = [
        StoredImport(each, log, _is_new(folder, each, there, measured)) for each, log in zip(facts, logs, strict=True)
    ]
    try:
        for each in stored:
            if each.is_new:
                imported.write(folder, each.facts, each.log.epochs)
    except OSError as error:
        raise ResultsError(f"{folder.path}: cannot be written: {reason(error)}") from error
    return stored


def _facts(folder: ExperimentDir, form: str, log: Log, name: Name, sums: Sequence[str]) -> Imported:
    named = {key: getattr(name, key) for key in ("pair", "strategy", "seed", "model", "dataset")}
    logged = ("run", "ranks", "global_batch", "state", "error", "metric", "stage_s", "started_at", "ended_at")
    return Imported(
        experiment=folder.path.name,
        format=form,
        files=tuple(File(path=str(path), sha256=sha) for path, sha in zip(log.files, sums, strict=True)),
        digest=imported.digest_of(log.epochs),
        kbench_version=kbench.__version__,
        imported_at=datetime.now(UTC),
        **named,
        **{key: getattr(log, key) for key in logged},
    )


def _is_new(folder: ExperimentDir, facts: Imported, there: Sequence[Imported], measured: set[tuple[str, ...]]) -> bool:
    if (facts.pair, facts.strategy) in measured:
        raise ResultsError(
            f"{folder.path}: holds measured runs of {facts.pair} / {facts.strategy}; imported ones of that name "
            "would be averaged with them",
            hint="give the imported runs another name with --as or --strategy, or name another --experiment",
        )
    for other in there:
        is_same_log = other.digest == facts.digest and other.state == facts.state
        if other.label == facts.label:
            if is_same_log:
                return False
            if other.digest == facts.digest:
                raise ResultsError(
                    f"{facts.label}: this log was imported before as {other.state}, now as {facts.state}",
                    hint=f"to import it anew, remove {folder.run(other.run_id).path}",
                )
            raise ResultsError(
                f"{facts.label}: {folder.path} holds another log of that name, from {other.files[0].path}",
                hint=f"name this one otherwise (--as, --seed, --experiment), or remove {folder.run(other.run_id).path}",
            )
        if (
            is_same_log
            and other.run == facts.run
            and {f.sha256 for f in other.files} == {f.sha256 for f in facts.files}
        ):
            raise ResultsError(
                f"{facts.files[0].path}: {facts.run} was imported before, as {other.label}",
                hint=f"to give it another name, remove {folder.run(other.run_id).path} and import again",
            )
    return True
