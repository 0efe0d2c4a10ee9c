"""kbench gather, compare, plot, report: what results say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kbench.analysis.tables.registry import FORMATS
from kbench.cli.options import DEFAULT, RESULTS, Experiment, Output, Results, repeatable, without_default
from kbench.figures.registry import FIGURES

Targets = Annotated[
    list[str],
    repeatable(
        "--target",
        "Accuracy to reach, a fraction, or final*1.1: a multiple of the baseline's final error; :sustained or :clock "
        "behind it where the first touch is not meant",
        "X",
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
Clock = Annotated[
    str,
    typer.Option(
        "--clock",
        help="train, or total: evaluation and staging with it, start-up apart; what targets are reached on.",
        metavar="CLOCK",
    ),
]
KeepDisturbed = Annotated[
    bool, typer.Option("--keep-disturbed", help="Show times of disturbed runs as well; else they are left out.")
]
Baseline = Annotated[str, typer.Option("--baseline", help="Compare with this strategy.", metavar="NAME")]


def gather(experiment: Experiment = DEFAULT, results: Results = RESULTS, *, output: Output) -> None:
    """Make epochs.parquet and runs.parquet from the journals."""
    from kbench.experiment import results as experiment_results

    folder = experiment_results.find_results(experiment, results)
    n_epochs, n_runs = experiment_results.gather(folder)
    output.json({"n_epochs": n_epochs, "n_runs": n_runs, "epochs": str(folder.epochs), "runs": str(folder.runs)})
    output.text(f"{folder.epochs}  {n_epochs} epochs\n{folder.runs}  {n_runs} runs")


def compare(
    experiment: Experiment = DEFAULT,
    form: Annotated[str, typer.Option("--format", help=", ".join(FORMATS) + ".", metavar="FORM")] = "text",
    target: Targets = [],  # noqa: B006  (typer's way)
    baseline: Baseline = "",
    transfer: Annotated[
        list[str],
        repeatable(
            "--transfer",
            "Pairs trained one after the other, as UPSTREAM:DOWNSTREAM[,DOWNSTREAM], where no starts_from says so",
            "PAIRS",
        ),
    ] = [],  # noqa: B006
    published: Annotated[
        bool,
        typer.Option("--published", help="Papers' numbers beside these, and their tables against imported logs."),
    ] = False,
    margin: Margin = None,
    clock: Clock = "train",
    keep_disturbed: KeepDisturbed = False,
    score: Annotated[
        str, typer.Option("--score", help="mlperf: epochs and time to target by its rules.", metavar="RULES")
    ] = "",
    rcp: Annotated[
        Path | None,
        without_default(
            "--rcp",
            text="With --score: reference points for all pairs, a file of MLPerf's (rcps_NAME.json).",
            metavar="FILE",
        ),
    ] = None,
    runs: Annotated[
        int | None,
        without_default(
            "--runs", text="With --score: runs that a result takes, where not MLPerf's.", metavar="N", min=3
        ),
    ] = None,
    results: Results = RESULTS,
    *,
    output: Output,
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
        clock=clock,
        keep_disturbed=keep_disturbed,
        score=score,
        rcp=rcp,
        runs=runs,
        results=results,
    )

    from kbench.analysis.tables.layout import document
    from kbench.analysis.tables.registry import table_format
    from kbench.errors import printable
    from kbench.papers.papers import PublishedComparison

    printed = found.papers.document(found.measured) if isinstance(found, PublishedComparison) else document(found)
    style = table_format("json" if output.as_json else form)
    print(printable(style.render(printed)), flush=True)
    for finding in () if style.has_findings else printed.findings:
        output.log(f"{finding.severity}: {finding.text}")


def plot(
    experiment: Experiment = DEFAULT,
    kind: Annotated[str, typer.Option("--kind", help=f"{', '.join(FIGURES)} or all.", metavar="KIND")] = "curves",
    path: Annotated[
        Path | None,
        without_default("--output", "-o", text="A .png, .pdf or .svg file, or a folder.", metavar="FILE"),
    ] = None,
    size: Annotated[
        str, typer.Option("--size", help="screen, or for a paper one or two columns wide.", metavar="SIZE")
    ] = "screen",
    clock: Clock = "train",
    keep_disturbed: KeepDisturbed = False,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Draw figures: accuracy over time, over epochs, where time went, who was hidden, error against cost, speed-up."""
    from kbench import api

    drawn = api.plot(
        experiment, kind=kind, output=path, size=size, clock=clock, keep_disturbed=keep_disturbed, results=results
    )
    for text in drawn.absent:
        output.log(f"warning: {text.replace('not in the table', 'not drawn')}")
    if drawn.disturbed:
        output.log(f"warning: {drawn.disturbed}")
    if drawn.elsewhere:
        output.log(f"note: {drawn.elsewhere}")
    _log_skipped(drawn.skipped, output)
    figures = {str(drawing): str(drawing.with_suffix(".csv")) for drawing in drawn.paths}
    output.json(
        {
            "figures": [{"figure": figure, "data": data} for figure, data in figures.items()],
            "skipped": drawn.skipped,
            "absent": drawn.absent,
            "disturbed": drawn.disturbed or None,
        }
    )
    for figure, data in figures.items():
        output.text(f"{figure}  (data: {data})")


def report(
    experiment: Experiment = DEFAULT,
    target: Targets = [],  # noqa: B006
    baseline: Baseline = "",
    margin: Margin = None,
    clock: Clock = "train",
    keep_disturbed: KeepDisturbed = False,
    path: Annotated[
        Path | None,
        without_default("--output", "-o", text="Write there; else report.html among the results.", metavar="FILE"),
    ] = None,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Write one self-contained HTML page: verdict, tables, figures, audit, settings, provenance."""
    from kbench import api

    written = api.report(
        experiment,
        target=target,
        baseline=baseline,
        margin=margin,
        clock=clock,
        keep_disturbed=keep_disturbed,
        output=path,
        results=results,
    )
    if written.elsewhere:
        output.log(f"note: {written.elsewhere}")
    _log_skipped(written.skipped, output)
    output.json({"report": str(written.path)})
    output.text(str(written.path))


def _log_skipped(skipped: Mapping[str, str], output: Output) -> None:
    for name, why in skipped.items():
        output.log(f"note: no figure {name!r}: {why}")
