"""kbench calibrate: what difference this machine can resolve."""

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
)

if TYPE_CHECKING:
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
