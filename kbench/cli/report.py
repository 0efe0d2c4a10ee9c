"""kbench report: one self-contained page."""

from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.compare import Targets
from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, put, put_json, say


def report(
    experiment: Experiment = DEFAULT,
    target: Targets = [],  # noqa: B006
    baseline: Annotated[str, typer.Option("--baseline", help="Compare with this strategy.", metavar="NAME")] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write there; else report.html among the results.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write one self-contained HTML page: verdict, tables, figures, audit, settings, provenance."""
    from kbench.cli.compare import asked_of, targets_of
    from kbench.cli.gather import gathered

    targets = targets_of(target)
    folder = gathered(experiment, results)

    from kbench.analysis.compare import compare
    from kbench.analysis.frame import load
    from kbench.html_report.page import page

    asked_baseline, asked_targets = asked_of(folder)
    frames = load(folder)
    comparison = compare(frames, baseline=baseline or asked_baseline, targets=targets or asked_targets)
    made = page(frames, comparison)
    path = output or folder.report
    _write(path, made.html)
    for name, why in made.skipped.items():
        say(f"note: no figure {name!r}: {why}", quiet=quiet)
    if as_json:
        put_json({"schema": 1, "report": str(path)})
    else:
        put(str(path))


def _write(path: Path, html: str) -> None:
    """Write the page whole or not at all."""
    from kbench.errors import ResultsError
    from kbench.files import write

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"{path}: cannot be written: {error.strerror}") from error
    write(path, html)
