"""kbench plot: figures, each with its data beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, put, put_json

if TYPE_CHECKING:
    from kbench.records.folders import ExperimentDir

KINDS = ("curves", "epochs")
ENDINGS = (".png", ".pdf", ".svg")


def plot(
    experiment: Experiment = DEFAULT,
    kind: Annotated[
        str, typer.Option("--kind", help="curves (accuracy over time), epochs, or all.", metavar="KIND")
    ] = "curves",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .png, .pdf or .svg file, or a folder.", metavar="FILE", show_default=False
        ),
    ] = None,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw accuracy over training time, with the change of total time at the end of each curve."""
    from kbench.cli.gather import gathered
    from kbench.errors import ConfigError, ResultsError
    from kbench.spec.parse import did_you_mean

    if kind not in (*KINDS, "all"):
        raise ConfigError(f"--kind: unknown kind {kind!r}{did_you_mean(kind, (*KINDS, 'all'))}")
    if output and output.suffix and output.suffix not in ENDINGS:
        raise ConfigError(f"--output: must end in {', '.join(ENDINGS)} or be a folder, got {output}")
    kinds = KINDS if kind == "all" else (kind,)
    if output and output.suffix and len(kinds) > 1:
        raise ConfigError(f"--output: {output} is one file, --kind all draws {len(kinds)}", hint="name a folder")
    folder = gathered(experiment, results)
    try:
        paths = _draw(folder, kinds, output)
    except OSError as error:
        raise ResultsError(f"{error.filename or output}: cannot be written: {error.strerror}") from error
    if as_json:
        put_json({"schema": 1, "figures": [{"figure": str(p), "data": str(p.with_suffix(".csv"))} for p in paths]})
    else:
        for path in paths:
            put(f"{path}  (data: {path.with_suffix('.csv')})")


def _draw(folder: "ExperimentDir", kinds: tuple[str, ...], output: Path | None) -> list[Path]:
    from kbench.analysis.compare import compare
    from kbench.analysis.curve import curves
    from kbench.analysis.frame import load
    from kbench.cli.compare import asked_of
    from kbench.figures.curves import accuracy_by_epoch, curve_data, save, time_to_accuracy

    baseline, targets = asked_of(folder)
    frames = load(folder)
    data = curve_data(list(curves(frames)), compare(frames, baseline=baseline, targets=targets))
    paths = []
    for kind in kinds:
        figure = time_to_accuracy(data, baseline) if kind == "curves" else accuracy_by_epoch(data)
        path = output if output and output.suffix else (output or folder.figures) / f"{kind}.png"
        paths.append(save(figure, data, path))
    return paths
