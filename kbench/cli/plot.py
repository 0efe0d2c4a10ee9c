"""kbench plot: figures, each with its data beside it."""

from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, log, print_json, print_result
from kbench.figures.registry import FIGURES

SIZES = ("screen", "one", "two")


def plot(
    experiment: Experiment = DEFAULT,
    kind: Annotated[str, typer.Option("--kind", help=f"{', '.join(FIGURES)} or all.", metavar="KIND")] = "curves",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .png, .pdf or .svg file, or a folder.", metavar="FILE", show_default=False
        ),
    ] = None,
    size: Annotated[
        str, typer.Option("--size", help="screen, or for a paper one or two columns wide.", metavar="SIZE")
    ] = "screen",
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw figures: accuracy over time, over epochs, where time went, who was hidden, error against cost, speed-up."""
    from kbench import api

    drawn = api.plot(experiment, kind=kind, output=output, size=size, results=results)
    for text in drawn.absent:
        log(f"warning: {text.replace('not in the table', 'not drawn')}", quiet=quiet)
    for name, why in drawn.skipped.items():
        log(f"note: no figure {name!r}: {why}", quiet=quiet)
    if as_json:
        figures = [{"figure": str(p), "data": str(p.with_suffix(".csv"))} for p in drawn.paths]
        print_json({"schema": 1, "figures": figures, "skipped": drawn.skipped})
    else:
        for path in drawn.paths:
            print_result(f"{path}  (data: {path.with_suffix('.csv')})")
