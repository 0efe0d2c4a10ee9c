"""The formats that results are exported in, by name.  One more is a file here and a line in ``FORMATS``."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kbench.records.store import Tables

FORMATS = {  # name: where its ExportFormat is, imported when it is used
    "csv": "kbench.exporters.csv_tables:CSV",
    "mllog": "kbench.exporters.mllog:MLLOG",
}


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a submitter states about the runs; kbench cannot know it.  Empty: not stated."""

    org: str = ""
    platform: str = ""
    division: str = "open"  # closed or open
    status: str = "research"  # cloud, onprem, preview or research
    cache_cleared: bool = False  # by the submitter; kbench clears none


@dataclass(frozen=True)
class Export:
    """Files by name, below the folder of the export, and notes on what they lack."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportFormat:
    """A format: ``export`` takes what was gathered of an experiment; ``stdout`` is the file that may go to stdout."""

    about: str
    export: "Callable[[Tables, Submission], Export]"
    stdout: str = ""


def export_format(name: str) -> ExportFormat:
    """The format with a name of ``FORMATS``."""
    return cast(ExportFormat, pkgutil.resolve_name(FORMATS[name]))
