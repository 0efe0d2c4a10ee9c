"""kbench run on a cluster: hand in what is missing, and leave."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kbench.cli.options import on_terminal, put, put_json, say

if TYPE_CHECKING:
    from kbench.cli.request import Request
    from kbench.config.site import Site
    from kbench.records.folders import RunDir

EVERY_S = 1.0


def submit(
    asked: "Request", site: "Site", runs: "Sequence[RunDir]", *, retry: bool, paired: bool, max_parallel: int | None,
    quiet: bool,
) -> None:  # fmt: skip
    """Hand what is missing of ``runs`` to the site's scheduler; what it has or had is left alone."""
    from kbench.experiment.driver import driver_lock, shuffled
    from kbench.experiment.ledger import submitting
    from kbench.experiment.status import StatusMonitor
    from kbench.experiment.submit import orphans, recover, submit_batches
    from kbench.records import register
    from kbench.records.run_state import State

    folder = asked.folder
    again = {State.MISSING, State.INTERRUPTED}
    again |= {State.FAILED, State.CANCELLED, State.DAMAGED} if retry else set()
    with driver_lock(folder), submitting(folder) as keep:
        register.take(folder, asked.runs, asked.as_written)
        recover(folder)
        outlook = StatusMonitor(folder, alone=True)
        found = {run.run_id: outlook.state_of(run) for run in folder.read()}
        missing = [run for run in runs if found[run.run_id] in again]
        for run, leader in orphans(missing, found):
            missing.remove(run)
            say(f"{run.run_id} waits: it follows {leader.run_id}, which is {found[leader.run_id]}", quiet=quiet)
        say(f"{len(missing)} of {len(runs)} runs to submit, with {site.launcher}", quiet=quiet)
        order = shuffled(missing, folder, max_parallel=max_parallel or 1) if missing else []
        for taken, theirs in submit_batches(folder, order, site, paired=paired, max_parallel=max_parallel, keep=keep):
            script = folder.job_script(taken.token)
            say(f"job {taken.id}: {len(theirs)} run{'s' if len(theirs) > 1 else ''}, {script}", quiet=quiet)


def tell(asked: "Request", runs: "Sequence[RunDir]", *, as_json: bool, quiet: bool) -> None:
    """Print a line per run, and how to come back."""
    from kbench.cli.progress import line, row
    from kbench.experiment.status import StatusMonitor

    outlook = StatusMonitor(asked.folder)
    found = [(run, outlook.status_of(run)) for run in (folder.read() for folder in runs)]
    if as_json:
        put_json({"schema": 1, "experiment": asked.spec.name, "runs": [row(*one) for one in found]})
    else:
        put("\n".join(line(*one) for one in found))
    say(f"kbench status {asked.spec.name} tells how they stand, kbench cancel {asked.spec.name} ends them", quiet=quiet)


def stay(asked: "Request", runs: "Sequence[RunDir]", *, quiet: bool) -> None:
    """Wait until the runs have ended; the scheduler is asked twice a minute."""
    from kbench.cli.progress import Lines, Live
    from kbench.experiment.status import StatusMonitor
    from kbench.records.run_state import State

    live = on_terminal(sys.stderr) and not quiet
    outlook = StatusMonitor(asked.folder)
    try:
        with Live(asked.folder, runs) if live else Lines(asked.folder, runs, quiet=quiet) as watch:
            while {State.WAITING, State.RUNNING} & set(outlook.states(runs)):
                watch.tick()
                time.sleep(EVERY_S)
                outlook.refresh()
    except KeyboardInterrupt:
        say(f"the runs go on; kbench status {asked.spec.name} tells how they stand", quiet=quiet)
        sys.exit(130)
