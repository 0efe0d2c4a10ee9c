"""kbench calibrate, plan: what difference this machine can resolve, and how many seeds a question takes."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kbench.cli.options import (
    DEFAULT,
    RESULTS,
    Experiment,
    Output,
    Results,
    SiteName,
    WaitForQuiet,
    on_terminal,
    repeatable,
    without_default,
)

if TYPE_CHECKING:
    from kbench.analysis.seed_plan import SeedPlan, StrategyPlan
    from kbench.records.calibration import Spread


def calibrate(
    experiment: Experiment = DEFAULT,
    site: SiteName = "",
    seeds: Annotated[int, typer.Option("--seeds", help="Seeds, each trained twice.", metavar="N", min=2)] = 5,
    settings: Annotated[
        list[str] | None, repeatable("--set", "Replace a key of the experiment or the site", "KEY=VALUE")
    ] = None,
    wait_for_quiet: WaitForQuiet = None,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Train the baseline against itself, and tell what difference this machine can resolve."""
    from kbench import api
    from kbench.cli.live_table import LiveTable
    from kbench.experiment.status import Progress

    follow = LiveTable if on_terminal(sys.stderr) and not output.quiet else Progress
    found = api.calibrate(
        experiment, site=site, seeds=seeds, settings=settings or (), wait_for_quiet=wait_for_quiet, results=results,
        progress=follow(output.log),
    )  # fmt: skip
    if found is None:
        output.json({"spreads": []})
        output.text("the runs are on their way; kbench calibrate with the same arguments tells more when they are done")
        return
    output.json(found.model_dump(mode="json"))
    for spread in found.spreads:
        output.text(_table(spread))


def _table(spread: "Spread") -> str:
    """What some numbers of seeds resolve on one pair."""
    from kbench.analysis.resolution import SEEDS, accuracy_resolution, time_resolution
    from kbench.records.schema import metric_name

    place, name = spread.instruments, metric_name(spread.metric)
    lines = [
        f"{spread.pair} on {place.device_name or 'a CPU'}, "
        f"{place.ranks} rank(s) of {place.threads_per_rank} thread(s): "
        f"{spread.n_seeds} seeds, each twice; a run takes {spread.run_s:.1f} s",
        f"{'seeds':>5}  {'time +-':>9}  {'shown from':>10}  {name + ' +-':>11}  {'shown from':>10}  {'takes':>9}",
    ]
    for n in SEEDS:
        time, accuracy = time_resolution(spread, n), accuracy_resolution(spread, n)
        cells = [f"{100 * value:.2g} %" for value in (time.half_width, time.smallest)] if time else ["-", "-"]
        cells += [f"{100 * v:.2g} pts" for v in (accuracy.half_width, accuracy.smallest)] if accuracy else ["-", "-"]
        cells.append(f"{2 * n * spread.run_s / 60:.1f} min")
        widths = (9, 10, 11, 10, 9)
        lines.append("  ".join([f"{n:>5}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))]))
    lines.append("+-: half the 95 % interval; shown from: 80 % power; takes: the baseline and one strategy")
    if spread.n_disturbed:
        lines.append(f"{spread.n_disturbed} run(s) disturbed; their times are left out, with those of their twins")
    return "\n".join(lines)


def plan(
    experiment: Experiment = DEFAULT,
    margin: Annotated[
        float | None,
        without_default("--margin", text="Points of final accuracy that may be lost.", metavar="POINTS"),
    ] = None,
    power: Annotated[float, typer.Option("--power", help="Probability that it is shown.", metavar="P")] = 0.8,
    saves: Annotated[
        float | None,
        without_default(
            "--saves", text="Training time that strategies truly save; without it, as measured.", metavar="PERCENT"
        ),
    ] = None,
    loses: Annotated[
        float, typer.Option("--loses", help="Final accuracy that they truly lose.", metavar="POINTS")
    ] = 0.0,
    site: SiteName = "",
    settings: Annotated[
        list[str] | None, repeatable("--set", "Replace a key of the experiment or the site", "KEY=VALUE")
    ] = None,
    max_parallel: Annotated[
        int | None, without_default("--max-parallel", text="Runs at a time, for the days.", metavar="N", min=1)
    ] = None,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Plan how many seeds would show that strategies save time within a margin, and their node-hours and days."""
    from kbench import api

    found = api.plan(
        experiment, margin=margin, power=power, saves=saves, loses=loses, site=site, settings=settings or (),
        max_parallel=max_parallel, results=results,
    )  # fmt: skip
    output.json(found.as_json())
    output.text(_plan_text(found))
    for note in found.notes:
        output.log(f"note: {note}")


def _plan_text(plan: "SeedPlan") -> str:
    """A seed plan for a person."""
    from kbench.analysis.tables.plain import aligned

    head = ("strategy", "margin", "loses", "saves", "seeds", "up to", "a run", "node-hours", "from")
    blocks = []
    for pair in dict.fromkeys(each.pair for each in plan.strategies):
        own = [each for each in plan.strategies if each.pair == pair]
        lines = [f"{pair}: seeds that show with {100 * plan.power:g} % power that it saves time within the margin", ""]
        lines.append(aligned([head, *map(_plan_cells, own)]))
        lines += [f"{each.strategy}: {each.why}" for each in own if each.why]
        blocks.append("\n".join(lines))
    blocks.append(_whole_text(plan))
    blocks.append(
        "loses, saves: what is taken for true [points, %]; >=: nothing tells how much it saves, and so many seeds show "
        "it from\n  there on, with the same power; -: nothing tells of times, and accuracy alone is planned.\n"
        "up to: with each standard deviation at its upper bound (80 %), as few seeds tell little of it.\n"
        "node-hours: of its runs and the baseline's: training, evaluation and staging, start-up and queues apart.\n"
        "Tests at 5 %, shared among the strategies of a pair; times of disturbed runs are left out."
    )
    return "\n\n".join(blocks)


def _plan_cells(plan: "StrategyPlan") -> list[str]:
    from kbench.analysis.margin import MOST_SEEDS

    sources = {
        "runs": f"{plan.n_source_seeds} seeds of its own",
        "calibration": f"calibration, {plan.n_source_seeds} seeds",
        "baseline": f"{plan.n_source_seeds} seeds of the baseline",
        "nothing": "nothing",
    }
    saves = "-" if plan.saves is None else f"{100 * plan.saves:.1f}"
    if plan.shows_saving_from is not None:
        saves = f">= {100 * plan.shows_saving_from:.2g}"
    many = "-" if plan.seeds is None else f"> {MOST_SEEDS}"
    numbers = [
        "-" if plan.seeds is None else str(plan.seeds),
        many if plan.seeds_high is None else str(plan.seeds_high),
    ]
    run = "-" if plan.run_s is None else f"{plan.run_s:.4g} s{'' if plan.run_s_from == 'runs' else ' *'}"
    hours = "-" if plan.node_hours is None else f"{plan.node_hours:.3g}"
    lost = f"{100 * plan.loses:g}"
    return [plan.strategy, f"{100 * plan.margin:g}", lost, saves, *numbers, run, hours, sources[plan.source]]


def _whole_text(plan: "SeedPlan") -> str:
    """What the whole experiment takes."""
    if plan.seeds is None:
        return "whole: no number of seeds is known that shows any of them"
    bound = f" (up to {plan.seeds_high})" if plan.seeds_high else " (with no upper bound)"
    text = (
        f"whole: {plan.seeds} seeds{bound}, {plan.n_done} of them done; {plan.n_runs_left} of {plan.n_runs} runs to go"
    )
    if plan.node_hours is not None and plan.days_left is not None:
        parallel = "one run" if plan.n_parallel == 1 else f"{plan.n_parallel} runs"
        text += f", {plan.node_hours_left:.3g} of {plan.node_hours:.3g} node-hours"
        text += f" (up to {plan.node_hours_high:.3g})" if plan.node_hours_high is not None else ""
        text += f", {plan.days_left:.2g} days with {parallel} at a time"
    if any(each.run_s_from != "runs" for each in plan.strategies):
        text += "\n*: no run of it is done; the mean of the pair's others, or of the calibration"
    return text
