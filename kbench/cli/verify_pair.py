"""kbench verify-pair: is a pair of the papers what was published?"""

from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import Output, repeatable, without_default


def verify_pair(
    name: Annotated[str, typer.Argument(help="A pair, EXPERIMENT/PAIR, an experiment, or all.", metavar="NAME")],
    parts: Annotated[
        list[str] | None, repeatable("--part", "model, rate, loop, views or values, instead of all", "PART")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Updates beside a plain loop.")] = 3,
    draws: Annotated[int, typer.Option("--draws", min=20, help="Views beside torchvision's and timm's.")] = 200,
    out: Annotated[
        Path | None, without_default("--out", text="Draw the learning rates (.png, .pdf, .svg).", metavar="FILE")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a section of docs/pairs.md.")] = False,
    *,
    output: Output,
) -> None:
    """Hold a pair against what was published: model, learning rate, updates, views, and where its values come from.

    Example: kbench verify-pair deit-tiny-cifar10-vit-group --part rate --out rate.png
    """
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError, WorkloadError
    from kbench.verify.report import PARTS, find_pairs, verify

    unknown = [part for part in parts or () if part not in PARTS]
    if unknown:
        raise ConfigError(f"--part {unknown[0]}: no part of a report{did_you_mean(unknown[0], PARTS)}")
    wanted = tuple(part for part in PARTS if part in (parts or PARTS))
    found, reports = find_pairs(name), []
    if out and len(found) > 1:
        pairs = ", ".join(one.name for one in found)
        raise ConfigError(f"--out: draws one pair, and {name} names {pairs}", hint="name one of them in full")
    for named in found:
        report = verify(named, parts=wanted, steps=steps, draws=draws)
        reports.append(report)
        output.text(report.markdown if markdown else f"{report.text}\n")
    output.json({"pairs": [report.as_json() for report in reports]})
    if out:
        from kbench.figures.rates import draw_rates

        output.log(str(draw_rates(reports[0].name, reports[0].rates, out)))
    if lost := [f"{report.name}: {row.what}" for report in reports for row in report.unexplained]:
        raise WorkloadError(
            f"differs from what was published, and no file says why: {'; '.join(lost)}",
            hint="mend the recipe, or name the difference in kbench/verify/published.py",
        )
