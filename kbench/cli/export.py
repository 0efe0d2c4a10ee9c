"""kbench export: results for others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Experiment, Output, Results, without_default
from kbench.exporters.registry import FORMATS, Submission, export_format

STATUSES = ("cloud", "onprem", "preview", "research")
CHOICES = {"FORMAT": tuple(FORMATS), "--division": ("closed", "open"), "--status": STATUSES}
OUTPUT = "Write there; else below export/ among the results.  - is stdout, for the epochs of csv."
CLEARED = "mllog: you cleared caches before each run; kbench does not."


def export(
    form: Annotated[str, typer.Argument(help=", ".join(FORMATS) + ".", metavar="FORMAT", show_default=False)],
    experiment: Experiment = DEFAULT,
    path: Annotated[str, without_default("--output", "-o", text=OUTPUT, metavar="DIR")] = "",
    org: Annotated[str, without_default("--org", text="mllog: who submits.", metavar="NAME")] = "",
    platform: Annotated[
        str, without_default("--platform", text="mllog: on what; else as recorded.", metavar="NAME")
    ] = "",
    division: Annotated[str, typer.Option("--division", help="mllog: closed or open.", metavar="NAME")] = "open",
    status: Annotated[
        str, typer.Option("--status", help=f"mllog: {', '.join(STATUSES)}.", metavar="NAME")
    ] = "research",
    cache_cleared: Annotated[bool, typer.Option("--cache-cleared", help=CLEARED)] = False,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Write results for others: csv (epochs, runs, columns) or mllog (MLPerf logs, a file per run)."""
    from kbench.errors import ConfigError
    from kbench.experiment.results import gathered, writable

    for name, value in (("FORMAT", form), ("--division", division), ("--status", status)):
        _check(name, value)
    style = export_format(form)
    if path == "-" and (output.as_json or not style.stdout):
        raise ConfigError("--output -: stdout takes the epochs of csv, and nothing else", hint="name a folder")
    tables = gathered(experiment, results)
    submission = Submission(org=org, platform=platform, division=division, status=status, cache_cleared=cache_cleared)
    exported = style.export(tables, submission)
    if path == "-":
        output.text(exported.files[style.stdout].decode().rstrip("\n"))
        return
    name = tables.folder.path.name
    place, why = (Path(path), "") if path else writable(tables.folder.exports / form, f"{name}-{form}")
    written = _write(place, exported.files)
    notes = [*exported.notes, why] if why else list(exported.notes)
    for note in notes:
        output.log(f"note: {note}")
    output.json({"files": written, "notes": notes})
    output.text("\n".join(written))


def _check(name: str, value: str) -> None:
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError

    known = CHOICES[name]
    if value not in known:
        raise ConfigError(f"{name}: must be one of {', '.join(known)}, got {value!r}{did_you_mean(value, known)}")


def _write(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write each file whole or not at all; returns their paths."""
    from kbench.errors import ResultsError
    from kbench.files import reason, write

    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, content)
    except OSError as error:
        raise ResultsError(f"{error.filename or folder}: cannot be written: {reason(error)}") from error
    return [str(folder / name) for name in files]
