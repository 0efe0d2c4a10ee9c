"""kbench compare: the tables."""

from typing import TYPE_CHECKING, Annotated

import typer

from kbench.analysis.tables.registry import FORMATS
from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, put, say

if TYPE_CHECKING:
    from kbench.analysis.time_to_target import Target
    from kbench.records.folders import ExperimentDir

Form = Annotated[str, typer.Option("--format", help=", ".join(FORMATS) + ".", metavar="FORM")]
Targets = Annotated[
    list[str],
    typer.Option(
        "--target",
        help="Accuracy to reach, a fraction, or final*1.1: a multiple of the baseline's final error; repeatable.",
        metavar="X",
        show_default=False,
    ),
]
Transfers = Annotated[
    list[str],
    typer.Option(
        "--transfer",
        help="Pairs trained one after the other, as UPSTREAM:DOWNSTREAM[,DOWNSTREAM], where no starts_from says so; "
        "repeatable.",
        metavar="PAIRS",
        show_default=False,
    ),
]
Baseline = Annotated[str, typer.Option("--baseline", help="Compare with this strategy.", metavar="NAME")]
Published = Annotated[
    bool, typer.Option("--published", help="Papers' numbers beside these, and their tables against imported logs.")
]


def compare(
    experiment: Experiment = DEFAULT,
    form: Form = "text",
    target: Targets = [],  # noqa: B006
    baseline: Baseline = "",
    transfer: Transfers = [],  # noqa: B006
    published: Published = False,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare every strategy with its matched baseline: accuracy, time, time to target."""
    from kbench.cli.gather import gathered
    from kbench.errors import ConfigError, ResultsError

    if form not in FORMATS:
        raise ConfigError(f"--format: must be one of {', '.join(FORMATS)}, got {form!r}")
    targets, transfers = targets_of(target), [_chain(text) for text in transfer]
    folder = gathered(experiment, results)

    from kbench.analysis.compare import compare as compared
    from kbench.analysis.frame import load
    from kbench.analysis.tables.layout import document
    from kbench.analysis.tables.registry import table_format
    from kbench.papers.papers import papers, without_baseline

    asked_baseline, asked_targets = asked_of(folder)
    baseline, frames = baseline or asked_baseline, load(folder)
    try:
        found = compared(frames, baseline=baseline, targets=targets or asked_targets, transfers=transfers)
    except ResultsError as error:
        if not published or baseline in set(frames.done["strategy"]):
            raise
        found = without_baseline(frames, baseline, error)
    printed = papers(frames, found).document(found) if published else document(found)
    style = table_format("json" if as_json else form)
    put(style.render(printed))
    for finding in () if style.has_findings else printed.findings:
        say(f"{finding.severity}: {finding.text}", quiet=quiet)


def targets_of(asked: list[str]) -> "list[Target]":
    """What ``--target`` asks for; raises ConfigError for what is no target."""
    from kbench.analysis.time_to_target import parse_target
    from kbench.errors import ConfigError

    try:
        return [parse_target(text) for text in asked]
    except ValueError as error:
        raise ConfigError(f"--target: {error}", hint="0.98 means 98 %, final*1.1 a tenth more error") from error


def _chain(text: str) -> tuple[str, list[str]]:
    """The upstream pair and the downstream pairs that ``text`` names."""
    from kbench.errors import ConfigError

    upstream, _, rest = text.partition(":")
    downstream = [pair.strip() for pair in rest.split(",") if pair.strip()]
    if not upstream.strip() or not downstream:
        raise ConfigError(f"--transfer: must be UPSTREAM:DOWNSTREAM[,DOWNSTREAM], names of pairs, got {text!r}")
    return upstream.strip(), downstream


def asked_of(folder: "ExperimentDir") -> tuple[str, tuple[float, ...]]:
    """The baseline and the targets that the experiment's file names."""
    from kbench.config.experiment import ExperimentSpec
    from kbench.config.parse import parse
    from kbench.config.yaml_source import read_source

    if not folder.source.exists():
        return "baseline", ()
    spec = parse(ExperimentSpec, read_source(folder.source))
    return spec.baseline, spec.targets
