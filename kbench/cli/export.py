"""kbench export: results for others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, log, print_json, print_result
from kbench.exporters.registry import FORMATS, Submission, export_format

STATUSES = ("cloud", "onprem", "preview", "research")
CHOICES = {"FORMAT": tuple(FORMATS), "--division": ("closed", "open"), "--status": STATUSES}

Form = Annotated[str, typer.Argument(help=", ".join(FORMATS) + ".", metavar="FORMAT", show_default=False)]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="Write there; else below export/ among the results.  - is stdout, for the epochs of csv.",
        metavar="DIR",
        show_default=False,
    ),
]
Org = Annotated[str, typer.Option("--org", help="mllog: who submits.", metavar="NAME", show_default=False)]
Platform = Annotated[
    str,
    typer.Option("--platform", help="mllog: on what; else as recorded.", metavar="NAME", show_default=False),
]
Division = Annotated[str, typer.Option("--division", help="mllog: closed or open.", metavar="NAME")]
Status = Annotated[str, typer.Option("--status", help=f"mllog: {', '.join(STATUSES)}.", metavar="NAME")]
CacheCleared = Annotated[
    bool, typer.Option("--cache-cleared", help="mllog: you cleared caches before each run; kbench does not.")
]


def export(
    form: Form,
    experiment: Experiment = DEFAULT,
    output: Output = "",
    org: Org = "",
    platform: Platform = "",
    division: Division = "open",
    status: Status = "research",
    cache_cleared: CacheCleared = False,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write results for others: csv (epochs, runs, columns) or mllog (MLPerf logs, a file per run)."""
    from kbench.errors import ConfigError
    from kbench.experiment.results import gathered

    for name, value in (("FORMAT", form), ("--division", division), ("--status", status)):
        _check(name, value)
    style = export_format(form)
    if output == "-" and (as_json or not style.stdout):
        raise ConfigError("--output -: stdout takes the epochs of csv, and nothing else", hint="name a folder")
    folder = gathered(experiment, results)
    submission = Submission(org=org, platform=platform, division=division, status=status, cache_cleared=cache_cleared)
    exported = style.export(folder, submission)
    if output == "-":
        print_result(exported.files[style.stdout].decode().rstrip("\n"))
        return
    written = _write(Path(output) if output else folder.exports / form, exported.files)
    for note in exported.notes:
        log(f"note: {note}", quiet=quiet)
    if as_json:
        print_json({"schema": 1, "files": written, "notes": list(exported.notes)})
    else:
        print_result("\n".join(written))


def _check(name: str, value: str) -> None:
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError

    known = CHOICES[name]
    if value not in known:
        raise ConfigError(f"{name}: must be one of {', '.join(known)}, got {value!r}{did_you_mean(value, known)}")


def _write(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write each file whole or not at all; returns their paths."""
    from kbench.errors import ResultsError
    from kbench.files import write

    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, content)
    except OSError as error:
        raise ResultsError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    return [str(folder / name) for name in files]
