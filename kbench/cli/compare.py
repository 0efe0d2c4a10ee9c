"""kbench compare: the diff table."""

from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, put, put_json

if TYPE_CHECKING:
    from kbench.records.folders import ExperimentDir


def compare(
    experiment: Experiment = DEFAULT,
    form: Annotated[str, typer.Option("--format", help="text or json.", metavar="FORM")] = "text",
    target: Annotated[
        list[float],
        typer.Option("--target", help="Accuracy to reach, as a fraction; repeatable.", metavar="X", show_default=False),
    ] = [],  # noqa: B006
    baseline: Annotated[str, typer.Option("--baseline", help="Compare with this strategy.", metavar="NAME")] = "",
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare every strategy with its matched baseline: accuracy, time, time to target."""
    from kbench.cli.gather import gathered
    from kbench.errors import ConfigError

    if form not in ("text", "json"):
        raise ConfigError(f"--format: must be text or json, got {form!r}")
    if wrong := [t for t in target if not 0 < t <= 1]:
        raise ConfigError(f"--target: must be a fraction in (0, 1], got {wrong[0]:g}", hint="0.98 means 98 %")
    folder = gathered(experiment, results)

    from kbench.analysis.compare import compare as compared
    from kbench.analysis.frame import load
    from kbench.analysis.table import text

    asked_baseline, asked_targets = asked_of(folder)
    found = compared(load(folder), baseline=baseline or asked_baseline, targets=target or asked_targets)
    if as_json or form == "json":
        put_json(found.as_json())
    else:
        put(text(found))


def asked_of(folder: "ExperimentDir") -> tuple[str, tuple[float, ...]]:
    """The baseline and the targets that the experiment's file names."""
    from kbench.spec.experiment import ExperimentSpec
    from kbench.spec.parse import parse
    from kbench.spec.source import read_source

    if not folder.source.exists():
        return "baseline", ()
    spec = parse(ExperimentSpec, read_source(folder.source))
    return spec.baseline, spec.targets
