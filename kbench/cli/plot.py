"""kbench plot: figures, each with its data beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, log, print_json, print_result

if TYPE_CHECKING:
    from kbench.records.folders import ExperimentDir

KINDS = ("curves", "epochs", "time", "hidden", "pareto", "speedup")
SIZES = ("screen", "one", "two")
ENDINGS = (".png", ".pdf", ".svg")


def plot(
    experiment: Experiment = DEFAULT,
    kind: Annotated[str, typer.Option("--kind", help=f"{', '.join(KINDS)} or all.", metavar="KIND")] = "curves",
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
    from kbench.errors import ConfigError, ResultsError

    for flag, value, known in (("--kind", kind, (*KINDS, "all")), ("--size", size, SIZES)):
        if value not in known:
            raise ConfigError(f"{flag}: unknown {flag[2:]} {value!r}{did_you_mean(value, known)}")
    if output and output.suffix and output.suffix not in ENDINGS:
        raise ConfigError(f"--output: must end in {', '.join(ENDINGS)} or be a folder, got {output}")
    kinds = KINDS if kind == "all" else (kind,)
    if output and output.suffix and len(kinds) > 1:
        raise ConfigError(f"--output: {output} is one file, --kind all draws {len(kinds)}", hint="name a folder")
    folder = gathered(experiment, results)
    try:
        paths, skipped = _draw(folder, kinds, output, size)
    except OSError as error:
        raise ResultsError(f"{error.filename or output}: cannot be written: {error.strerror}") from error
    for name, why in skipped.items():
        log(f"note: no figure {name!r}: {why}", quiet=quiet)
    if as_json:
        figures = [{"figure": str(p), "data": str(p.with_suffix(".csv"))} for p in paths]
        print_json({"schema": 1, "figures": figures, "skipped": skipped})
    else:
        for path in paths:
            print_result(f"{path}  (data: {path.with_suffix('.csv')})")


def _draw(
    folder: "ExperimentDir", kinds: Sequence[str], output: Path | None, size: str
) -> tuple[list[Path], dict[str, str]]:
    """The files that were written, and of several kinds those that cannot be drawn, with the reason."""
    from kbench.analysis.compare import compare
    from kbench.analysis.frame import load
    from kbench.cli.compare import asked_of
    from kbench.errors import ResultsError
    from kbench.figures.layout import save
    from kbench.figures.registry import KINDS, view_of

    baseline, targets = asked_of(folder)
    frames = load(folder)
    comparison = compare(frames, baseline=baseline, targets=targets)
    view, paths, skipped = view_of(comparison, size), [], {}
    for name in kinds:
        try:
            data = KINDS[name].data(frames, comparison)
        except ResultsError as error:
            skipped[name] = error.message
            if len(skipped) == len(kinds):
                raise
            continue
        path = output if output and output.suffix else (output or folder.figures) / f"{name}.png"
        paths.append(save(KINDS[name].draw(data, view), data, path))
    return paths, skipped
