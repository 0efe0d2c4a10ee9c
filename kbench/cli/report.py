"""kbench report: one self-contained page."""

from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.compare import Baseline, Margin, Targets
from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, log, print_json, print_result


def report(
    experiment: Experiment = DEFAULT,
    target: Targets = [],  # noqa: B006
    baseline: Baseline = "",
    margin: Margin = None,
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
    from kbench import api

    written = api.report(experiment, target=target, baseline=baseline, margin=margin, output=output, results=results)
    for name, why in written.skipped.items():
        log(f"note: no figure {name!r}: {why}", quiet=quiet)
    if as_json:
        print_json({"schema": 1, "report": str(written.path)})
    else:
        print_result(str(written.path))
