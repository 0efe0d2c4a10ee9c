"""kbench plot: figures, each with its data beside it."""

from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, put, put_json, say
from kbench.figures.registry import FIGURES

SIZES = ("screen", "one", "two")
ENDINGS = (".png", ".pdf", ".svg")


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
    from kbench.cli.gather import gathered
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError

    for flag, value, known in (("--kind", kind, (*FIGURES, "all")), ("--size", size, SIZES)):
        if value not in known:
            raise ConfigError(f"{flag}: unknown {flag[2:]} {value!r}{did_you_mean(value, known)}")
    if output and output.suffix and output.suffix not in ENDINGS:
        raise ConfigError(f"--output: must end in {', '.join(ENDINGS)} or be a folder, got {output}")
    kinds = tuple(FIGURES) if kind == "all" else (kind,)
    if output and output.suffix and len(kinds) > 1:
        raise ConfigError(f"--output: {output} is one file, --kind all draws {len(kinds)}", hint="name a folder")
    folder = gathered(experiment, results)

    from kbench.analysis.compare import compare
    from kbench.analysis.frame import load
    from kbench.cli.compare import asked_of
    from kbench.figures.draw import draw_figures

    baseline, targets = asked_of(folder)
    frames = load(folder)
    comparison = compare(frames, baseline=baseline, targets=targets)
    drawn = draw_figures(frames, comparison, kinds, output or folder.figures, size=size)
    for name, why in drawn.skipped.items():
        say(f"note: no figure {name!r}: {why}", quiet=quiet)
    if as_json:
        figures = [{"figure": str(p), "data": str(p.with_suffix(".csv"))} for p in drawn.paths]
        put_json({"schema": 1, "figures": figures, "skipped": drawn.skipped})
    else:
        for path in drawn.paths:
            put(f"{path}  (data: {path.with_suffix('.csv')})")
