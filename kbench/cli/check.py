"""kbench check: the same as run, up to the start."""

from collections import Counter
from typing import TYPE_CHECKING

from kbench.cli.options import (
    DEFAULT,
    RESULTS,
    Debug,
    Experiment,
    Json,
    Launcher,
    MaxParallel,
    Only,
    Quiet,
    Results,
    Settings,
    SiteName,
    put,
    put_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbench.cli.asked import Asked
    from kbench.launch.state import State
    from kbench.records.folders import RunDir
    from kbench.spec.site import Site


def check(
    experiment: Experiment = DEFAULT,
    site: SiteName = "",
    launcher: Launcher = "auto",
    only: Only = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    max_parallel: MaxParallel = 1,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find every mistake in an experiment, list its runs and a job script; start nothing."""
    from kbench.cli.asked import check_leaders, read
    from kbench.launch.local import resolved
    from kbench.records import claim

    asked = read(experiment, results=results, settings=settings, site=site, only=only)
    there = resolved(asked.site, launcher=launcher, max_parallel=max_parallel)
    claim.check(asked.folder, asked.runs)
    check_leaders(asked)
    show(asked, there, as_json=as_json)


def show(asked: "Asked", site: "Site", *, as_json: bool) -> None:
    """Print the runs with their states, and the script of the first."""
    from kbench.launch.front import states
    from kbench.launch.local import script

    runs = [asked.run_dir(spec) for spec in asked.runs]
    found = states(asked.folder, runs)
    text, hours = script(runs[0], site), node_hours(runs, found, site)
    if as_json:
        listed = [{"run_id": run.run_id, "state": state} for run, state in zip(runs, found, strict=True)]
        put_json(
            {
                "schema": 1,
                "experiment": asked.spec.name,
                "launcher": site.launcher,
                "node_hours": hours,
                "runs": listed,
                "script": text,
            }
        )
        return
    for run, state in zip(runs, found, strict=True):
        put(f"{run.run_id}  {state}")
    counts = ", ".join(f"{n} {state}" for state, n in Counter(found).items())
    put(f"\n{len(runs)} runs ({counts}), {site.ranks} rank(s) of {site.threads_per_rank} thread(s), {site.launcher}")
    put("node-hours: unknown before a run has finished" if hours is None else f"node-hours: about {hours:.2g} to go")
    put(f"\n# job.sh of {runs[0].run_id}\n{text}")


def node_hours(runs: "Sequence[RunDir]", found: "Sequence[State]", site: "Site") -> float | None:
    """What the runs that are not done will take: as much as the finished ones of their kind did, on average.

    Training and evaluation only; None where no run has finished.
    """
    from kbench.launch.state import State

    spent = []
    for run, state in zip(runs, found, strict=True):
        records = run.epochs() if state is State.DONE else []
        if records:
            spent.append(records[-1].elapsed_s + sum(record.eval_s for record in records))
    left = sum(state is not State.DONE for state in found)
    return left * sum(spent) / len(spent) * site.nodes / 3600 if spent else None
