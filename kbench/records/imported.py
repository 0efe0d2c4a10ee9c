"""Runs that others made: imported.json says which, epochs.jsonl holds what their logs tell.

What a log does not tell is null, in the journal and in the Parquet; nothing is ever filled in.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from kbench import files
from kbench.errors import ResultsError
from kbench.records import journal
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.migrations import ADDED_IN_3, ADDED_IN_5, ADDED_IN_6, RENAMED_IN_2, SCHEMA, sentence, upgrade
from kbench.records.run_files import RunFile
from kbench.records.run_state import State
from kbench.records.schema import EpochRecord, RunRecord, identity_of

NAME = "imported.json"
Cell = str | int | float | tuple[float | None, ...] | None
EpochRow = Mapping[str, Cell]

_optional: dict[str, Any] = {
    name: (hint | None, None)
    for name, hint in get_type_hints(EpochRecord, include_extras=True).items()
    if name in EpochRecord.model_fields
}
# The columns of an epoch, each of which a log may lack, and the share hidden where the log gives no counts.
ImportedEpoch: type[BaseModel] = create_model(
    "ImportedEpoch",
    __config__=ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False),
    hidden_share=(float | None, None),
    **_optional,
)
EMPTY: Mapping[str, Cell] = dict.fromkeys(ImportedEpoch.model_fields)  # an epoch of which nothing is known


class File(BaseModel):
    """A file that was read; the digest tells whether it is still the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str


class Imported(RunFile):
    """What imported.json says: which run it is, and from which files it was read."""

    NAME = NAME
    REMEDY: ClassVar[str] = "remove its folder and import the log again"

    experiment: str
    pair: str
    strategy: str
    seed: int
    model: str | None = None
    dataset: str | None = None
    ranks: int | None = None
    global_batch: int | None = None  # None: its log does not tell, or an older kbench imported it
    format: str
    run: str  # its name in the files
    files: tuple[File, ...]
    digest: str  # of the epochs: the same log gives the same
    state: Literal["done", "interrupted", "failed"] = "done"
    error: str | None = None
    metric: str | None = None  # what the accuracies are; None: an older kbench imported it
    stage_s: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    kbench_version: str
    imported_at: datetime

    @property
    def label(self) -> str:
        """How it is called in tables: ``pair.strategy.s0``."""
        return f"{self.pair}.{self.strategy}.s{self.seed}"

    @property
    def run_id(self) -> str:
        """``pair.strategy.s0.3fa9c1d2``, named by what the log tells."""
        return f"{self.label}.{self.digest[:8]}"

    @property
    def match_key(self) -> str:
        """Equal for imported runs of one experiment, pair and seed; no measured run's looks like it."""
        return "imported-" + digest([self.experiment, self.pair, self.seed])[:8]


@dataclass(frozen=True)
class ImportedRun:
    """What the files of an imported run's folder said at one moment."""

    path: Path
    facts: Imported | None  # None: they cannot be read
    epochs: tuple[dict[str, Any], ...]  # every column is there, null where the log did not tell it
    trouble: str = ""  # what is damaged, in a sentence

    @property
    def identity(self) -> dict[str, Any]:
        """The columns that say which run a row belongs to."""
        if self.facts is None:
            return identity_of(self.path.name, self.path.parent.parent.name)
        names = ("experiment", "pair", "model", "dataset", "strategy", "seed", "ranks", "match_key")
        return {name: getattr(self.facts, name) for name in names} | {"run_id": self.path.name}

    @property
    def summary(self) -> dict[str, Any]:
        """The run in one line: the columns of RunRecord."""
        if self.facts is None or self.trouble:
            known = {"state": State.DAMAGED, "error": self.trouble, "imported_from": self.facts and self.facts.format}
            return {**dict.fromkeys(RunRecord.model_fields), **known}
        return summary_of(self.facts, self.epochs)


def digest(content: object) -> str:
    """A sha256 of whatever JSON can hold."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(epochs: Sequence[EpochRow]) -> str:
    """The digest of a log's epochs, under the columns' names of schema 1: it names runs, and must not change."""
    first_names = {new: old for old, new in RENAMED_IN_2[journal.NAME].items()}
    newer = ADDED_IN_3 | ADDED_IN_5 | ADDED_IN_6
    there = [{name: cell for name, cell in row.items() if cell is not None or name not in newer} for row in epochs]
    return digest([{first_names.get(name, name): cell for name, cell in row.items()} for row in there])


def runs(experiment: ExperimentDir) -> list[RunDir]:
    """The folders of all runs that were read from the logs of others, by name."""
    found = [RunDir(facts.parent) for facts in experiment.runs_folder.glob(f"*/{NAME}")]
    return sorted(found, key=lambda run: run.run_id.split("."))


def read(run: RunDir) -> ImportedRun:
    """Read each file of an imported run's folder once; what is wrong with one is ``trouble``, and no error."""
    facts, trouble = None, ""
    try:
        facts = Imported.read(run.path)
    except ResultsError as error:
        trouble = error.message.removeprefix(f"{run.path}/")
    rows = []
    for number, line in enumerate(files.lines(run.journal), start=1):
        if line.strip():
            try:
                entry = upgrade(journal.NAME, line, None)  # an unknown key was never let in: it is refused, not dropped
                rows.append(dict(ImportedEpoch.model_validate(entry)))
            except ValueError as error:
                trouble = trouble or f"{journal.NAME}: line {number} is no record of an epoch: {sentence(error)}"
    return ImportedRun(run.path, facts, () if trouble else tuple(rows), f"{trouble}; {Imported.REMEDY}" * bool(trouble))


def write(folder: ExperimentDir, facts: Imported, epochs: Sequence[EpochRow]) -> RunDir:
    """Make the folder of an imported run; imported.json comes last, so that half a run is none."""
    run = folder.run(facts.run_id)
    run.path.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({**row, "schema_version": SCHEMA}, allow_nan=False) + "\n" for row in epochs]
    files.write(run.journal, "".join(lines))
    facts.write(run.path)
    return run


def summary_of(facts: Imported, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same from what is at hand; ``rows`` have every column.  Sums are null where a term is."""
    final = [row for row in rows if row["phase"] == rows[-1]["phase"]]
    known = [row for row in final if row["val_acc1"] is not None]
    best = max(known, key=lambda row: (row["val_acc1"], -row["epoch"]), default=None)
    return {
        **dict.fromkeys(RunRecord.model_fields),
        **{name: getattr(facts, name) for name in ("state", "error", "metric", "stage_s", "started_at", "ended_at")},
        "imported_from": facts.format,
        "epochs_done": len(rows),
        "best_acc1": best["val_acc1"] if best else None,
        "best_epoch": best["epoch"] if best else None,
        "final_acc1": final[-1]["val_acc1"] if final else None,
        "final_acc_worst": final[-1]["val_acc_worst"] if final else None,
        "total_train_s": _total(rows, "train_s"),
        "total_eval_s": _total(rows, "eval_s"),
        **{name: _total(rows, name) for name in ("n_trained", "n_scored", "n_refreshed")},
        "hidden_mean": hidden_mean(final),
    }


def hidden_mean(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The mean share hidden; the last epoch's may be missing, as logs tell it one epoch late."""
    shares = [_share(row) for row in rows]
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known and None not in shares[:-1] else None


def _share(row: Mapping[str, Any]) -> float | None:
    if row["n_hidden"] is not None and row["n_samples"]:
        return float(row["n_hidden"] / row["n_samples"])
    return cast(float | None, row["hidden_share"])


def _total(rows: Sequence[Mapping[str, Any]], column: str) -> Any:
    values = [row[column] for row in rows]
    return None if not values or None in values else sum(values)
