"""Putting imported runs into the store: the same log once, another one of the same name never."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import kbench
from kbench.errors import ResultsError
from kbench.importers.log import Log
from kbench.importers.naming import Name
from kbench.records import imported
from kbench.records.folders import ExperimentDir
from kbench.records.imported import File, Imported


@dataclass(frozen=True)
class StoredImport:
    """A run in the store, and whether it came just now."""

    facts: Imported
    log: Log
    is_new: bool


def digests(log: Log, seen: dict[Path, str]) -> tuple[str, ...]:
    """The sha256 of each file of a log; ``seen`` keeps those of files that several logs share."""
    for path in log.files:
        if path not in seen:
            seen[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return tuple(seen[path] for path in log.files)


def take(
    folder: ExperimentDir, form: str, logs: Sequence[Log], names: Sequence[Name], sums: Sequence[Sequence[str]]
) -> list[StoredImport]:
    """Write the runs that are not there yet; all of them or, where one is refused, none.

    Raises ResultsError where another log or a measured run has the name, or the log has another.
    """
    there = [run.facts for run in map(imported.read, imported.runs(folder)) if run.facts]
    measured = {tuple(run.run_id.split(".")[:2]) for run in folder.all_runs()}
    made = [_facts(folder, form, *each) for each in zip(logs, names, sums, strict=True)]
    taken = [
        StoredImport(facts, log, _is_new(folder, facts, there, measured)) for facts, log in zip(made, logs, strict=True)
    ]
    try:
        for each in taken:
            if each.is_new:
                imported.write(folder, each.facts, each.log.epochs)
    except OSError as error:
        raise ResultsError(f"{folder.path}: cannot be written: {error.strerror}") from error
    return taken


def _facts(folder: ExperimentDir, form: str, log: Log, name: Name, sums: Sequence[str]) -> Imported:
    return Imported(
        experiment=folder.path.name,
        pair=name.pair,
        strategy=name.strategy,
        seed=name.seed,
        model=name.model,
        dataset=name.dataset,
        ranks=log.ranks,
        format=form,
        run=log.run,
        files=tuple(File(path=str(path), sha256=sha) for path, sha in zip(log.files, sums, strict=True)),
        digest=imported.digest_of(log.epochs),
        state=log.state,
        error=log.error,
        stage_s=log.stage_s,
        started_at=log.started_at,
        ended_at=log.ended_at,
        kbench_version=kbench.__version__,
        imported_at=datetime.now(UTC),
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
