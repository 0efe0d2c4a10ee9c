"""kbench check-model, check-data: do a model and a data set of one's own keep to their contracts?"""

from typing import Annotated

import typer

from kbench.cli.check_method import line, row, sum_up
from kbench.cli.data import Root, data_root
from kbench.cli.options import Output, SiteName


def check_model(
    model: Annotated[
        str, typer.Argument(help="A class or function, or a name of kbench list models.", metavar="MODEL")
    ],
    dataset: Annotated[str, typer.Option("--dataset", help="Whose images it is built for.", metavar="NAME")] = "digits",
    image_size: Annotated[
        int, typer.Option("--image-size", min=0, help="[pixel] Side.", show_default="data set's")
    ] = 0,
    *,
    output: Output,
) -> None:
    """Check that a model of your own can be compared: weights by seed, gradients, evaluation, checkpoints."""
    from kbench.conformance.checks import verdicts
    from kbench.conformance.model_checks import CHECKS, ModelCase

    case, found = ModelCase(model, dataset, image_size=image_size), []
    for verdict in verdicts(CHECKS, case):
        found.append(verdict)
        output.text(line(verdict))
    facts = case.facts() if found[0].state == "ok" else None
    is_ok = all(verdict.state != "broken" for verdict in found)
    output.json(
        {
            "model": model,
            "dataset": dataset,
            "ok": is_ok,
            "parameters": facts.n_parameters if facts else None,
            "flop": facts.flop if facts else None,
            "ends_in": facts.ends_in if facts else None,
            "checks": [row(verdict) for verdict in found],
        }
    )
    if facts:
        output.text(
            f"{facts.n_parameters:,} parameters, {facts.flop:,} FLOP forward for a sample (a multiplication with its "
            f"addition counts as 2), ends in {facts.ends_in}"
        )
    sum_up(model, found, output, contract="kbench/models/registry.py")


def check_data(
    dataset: Annotated[str, typer.Argument(help="A DatasetInfo, or a name of kbench data list.", metavar="DATASET")],
    root: Root = "",
    site: SiteName = "",
    *,
    output: Output,
) -> None:
    """Check that a data set of your own can be trained on: labels, shapes, the same samples however they are read."""
    from kbench.conformance.checks import verdicts
    from kbench.conformance.data_checks import CHECKS, DataCase

    case, found = DataCase(dataset, root=data_root(root, site)), []
    for verdict in verdicts(CHECKS, case):
        found.append(verdict)
        output.text(line(verdict))
    counts = case.class_counts()
    is_ok = all(verdict.state != "broken" for verdict in found)
    output.json(
        {
            "dataset": dataset,
            "ok": is_ok,
            "identity": case.opened.identity,
            "class_counts": counts,
            "checks": [row(verdict) for verdict in found],
        }
    )
    for part, of_part in counts.items():
        output.text(f"{part}: {sum(of_part):,} samples, by class {', '.join(f'{n:,}' for n in of_part)}")
    if case.opened.identity:
        output.text(f"identity {case.opened.identity}")
    sum_up(dataset, found, output, contract="kbench/data/registry.py")
