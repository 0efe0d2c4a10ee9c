"""kbench compare: the tables."""

from typing import Annotated

import typer

from kbench.analysis.tables.registry import FORMATS
from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, log, print_result

Form = Annotated[str, typer.Option("--format", help=", ".join(FORMATS) + ".", metavar="FORM")]
Targets = Annotated[
    list[str],
    typer.Option(
        "--target",
        help="Accuracy to reach, a fraction, or final*1.1: a multiple of the baseline's final error; :sustained or "
        ":clock behind it where the first touch is not meant; repeatable.",
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
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        help="Points of final accuracy that may be lost, where the experiment's file says none or others.",
        metavar="POINTS",
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
    margin: Margin = None,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare every strategy with its matched baseline: accuracy, time, time to target."""
    from kbench import api
    from kbench.errors import ConfigError

    if form not in FORMATS:
        raise ConfigError(f"--format: must be one of {', '.join(FORMATS)}, got {form!r}")
    found = api.compare(
        experiment,
        target=target,
        baseline=baseline,
        transfer=transfer,
        published=published,
        margin=margin,
        results=results,
    )

    from kbench.analysis.tables.layout import document
    from kbench.analysis.tables.registry import table_format
    from kbench.papers.papers import PublishedComparison

    printed = found.papers.document(found.measured) if isinstance(found, PublishedComparison) else document(found)
    style = table_format("json" if as_json else form)
    print_result(style.render(printed))
    for finding in () if style.has_findings else printed.findings:
        log(f"{finding.severity}: {finding.text}", quiet=quiet)
