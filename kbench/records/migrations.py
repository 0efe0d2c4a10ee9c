"""Bring what an older kbench wrote to today's schema: an explicit step for each version.

Schema 1 (kbench 0.1) put no ``schema_version`` into its files, and let any key in.  Schema 3 measures in every epoch
what disturbed it, and knows the instruments ``spin`` and ``pairing``: of older runs they are null.  Schema 4 has
``charged_s``, work done before a run: of older runs it is 0.  Schema 5 has the accuracy of the worst class and of each
class: of older runs it is null.  Schema 6 has the training loss with label smoothing: of older runs it is null.
"""

from collections.abc import Callable, Collection
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from kbench.records.run_state import FailureKind

SCHEMA = 6
INT64 = range(-(2**63), 2**63)  # what the tables can hold

Entry = dict[str, Any]  # a JSON object as it was read
RENAMED_IN_2 = {
    "job.json": {"promised": "allocation"},
    "epochs.jsonl": {"beside_s": "background_s"},
}
ADDED_IN_3 = {  # columns of an epoch
    *("cpu_share", "cpu_wait_s", "ctx_involuntary", "others_share", "steal_share", "load_start", "load_end"),
    *("runnable_start", "runnable_end", "cpu_mhz", "pressure_cpu", "pressure_memory", "pressure_io", "gpu_mhz"),
    *("gpu_throttled", "gpu_throttle_s", "gpu_temperature_c", "gpu_power_w", "gpu_others"),
}
ADDED_IN_5 = {"val_acc_worst", "val_acc_classes"}  # columns of an epoch
ADDED_IN_6 = {"train_loss_smoothed"}  # likewise


def upgrade(file: str, content: bytes, known: Collection[str] | None) -> Entry:
    """Read a JSON object that is, or is a line of, a file of a run, in today's schema.

    Args:
        file: The name of the file.
        content: The object as it was written.
        known: The keys that it has in today's schema, others are dropped; None keeps every key.

    Raises:
        ValueError: It is no object, a newer kbench wrote it, or a number in it fits no table.
    """
    entry: Entry = from_json(content)
    if not isinstance(entry, dict):
        raise ValueError("holds no JSON object")
    for key, value in entry.items():
        if isinstance(value, int) and value not in INT64:
            raise ValueError(f"{key}: does not fit 64 bits, got {str(value)[:40]}")
    version = entry.get("schema_version", 1)
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"schema_version is {version!r}")
    if version > SCHEMA:
        raise ValueError(f"a newer kbench wrote it (schema {version}, this one knows {SCHEMA})")
    for step in range(version, SCHEMA):
        entry = STEPS[step](file, entry, known)
    return entry


def sentence(error: ValueError) -> str:
    """What is wrong, in one line; of many things, the first."""
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    problem = error.errors(include_url=False)[0]
    found = repr(problem["input"])
    got = f", got {found if len(found) <= 40 else found[:37] + '...'}" if problem["type"] != "missing" else ""
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg'][0].lower()}{problem['msg'][1:]}{got}".removeprefix(": ")


def _from_1(file: str, entry: Entry, known: Collection[str] | None) -> Entry:
    """Rename keys; a failure's kind was the exception's class; keys that nobody knows are dropped."""
    new_names = RENAMED_IN_2.get(file, {})
    entry = {new_names.get(key, key): value for key, value in entry.items()}
    if file == "failed.json":
        kind = str(entry.get("kind")).replace("LeaderMissing", FailureKind.PREREQUISITE_MISSING)
        is_kind = kind in list(FailureKind)
        entry |= {"kind": kind if is_kind else FailureKind.RAISED, "exception": None if is_kind else entry.get("kind")}
    entry = {key: value for key, value in entry.items() if known is None or key in known}
    return {**entry, "schema_version": 2}


def _from_2(file: str, entry: Entry, known: Collection[str] | None) -> Entry:
    """What schema 3 added has null as its default; only the number changes."""
    return _numbered(3, entry)


def _from_3(file: str, entry: Entry, known: Collection[str] | None) -> Entry:
    """What schema 4 added has 0 as its default; only the number changes."""
    return _numbered(4, entry)


def _from_4(file: str, entry: Entry, known: Collection[str] | None) -> Entry:
    """What schema 5 added has null as its default; only the number changes."""
    return _numbered(5, entry)


def _from_5(file: str, entry: Entry, known: Collection[str] | None) -> Entry:
    """What schema 6 added has null as its default; only the number changes."""
    return _numbered(6, entry)


def _numbered(version: int, entry: Entry) -> Entry:
    """The same with another number, also that of starts within a start."""
    if isinstance(earlier := entry.get("earlier"), list):
        entry = {**entry, "earlier": [_numbered(version, one) if isinstance(one, dict) else one for one in earlier]}
    return {**entry, "schema_version": version}


STEPS: dict[int, Callable[[str, Entry, Collection[str] | None], Entry]] = {
    1: _from_1,
    2: _from_2,
    3: _from_3,
    4: _from_4,
    5: _from_5,
}
