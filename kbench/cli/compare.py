"""kbench compare: the tables."""

from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, log, print_json, print_result

if TYPE_CHECKING:
    from kbench.analysis.rows import Comparison

FORMS = ("text", "markdown", "latex", "csv", "json")


Form = Annotated[str, typer.Option("--format", help=", ".join(FORMS) + ".", metavar="FORM")]
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
    from kbench import api
    from kbench.errors import ConfigError

    if form not in FORMS:
        raise ConfigError(f"--format: must be one of {', '.join(FORMS)}, got {form!r}")
    found = api.compare(
        experiment, target=target, baseline=baseline, transfer=transfer, published=published, results=results
    )
    _print(found, "json" if as_json else form, quiet=quiet)


def _print(found: "Comparison", form: str, *, quiet: bool) -> None:
    from kbench.analysis.tables.as_csv import sheet
    from kbench.analysis.tables.as_latex import latex
    from kbench.analysis.tables.as_markdown import markdown
    from kbench.analysis.tables.as_text import text
    from kbench.analysis.tables.layout import tables
    from kbench.papers.papers import PublishedComparison

    every, findings = tables(found), found.findings
    if isinstance(found, PublishedComparison):
        every, findings = [*every, *found.papers.tables], found.papers.among(findings)
    metrics = {row.pair: row.metric for row in found.rows if row.metric}
    if form == "json":
        print_json(found.as_json())
    elif form == "csv":
        print_result(sheet(every, found.experiment, metrics))
        for finding in findings:
            log(f"{finding.severity}: {finding.text}", quiet=quiet)
    elif form == "latex":
        print_result(latex(every, found.experiment, findings))
    else:
        print_result((markdown if form == "markdown" else text)(every, findings))
