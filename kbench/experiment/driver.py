"""The one process that starts runs in an experiment's folder; a second one is sent away."""

import os
import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from kbench import files
from kbench.errors import LaunchError
from kbench.launch.dependencies import prerequisite_of
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import is_alive


@contextmanager
def driver_lock(experiment: ExperimentDir) -> Iterator[None]:
    """Hold the experiment's folder; raises LaunchError while another living process does."""
    facts = {"id": os.getpid(), "host": socket.gethostname(), "started_at": datetime.now(UTC).isoformat()}
    with files.locked(experiment.ledger, required=False):  # others may not look and take at the same moment
        check_no_driver(experiment)
        files.write_json(experiment.front, facts)
    try:
        yield
    finally:
        experiment.front.unlink(missing_ok=True)


def check_no_driver(experiment: ExperimentDir) -> None:
    """Raise LaunchError while a living process starts runs here."""
    other = driver_of(experiment)
    if other:
        raise LaunchError(
            f"{experiment.path}: kbench run is at work here already "
            f"(process {other['id']} on {other['host']}, since {other['started_at'][:19]})",
            hint=f"follow it with kbench status; if it is dead, delete {experiment.front}",
        )


def driver_of(experiment: ExperimentDir) -> dict[str, str]:
    """The living process that starts runs here; empty when there is none."""
    facts = files.read_json(experiment.front)
    return facts if facts and is_alive(str(facts.get("host")), facts.get("id"), mark="kbench") else {}


def shuffled(runs: Sequence[RunDir], experiment: ExperimentDir, *, max_parallel: int) -> list[RunDir]:
    """Put runs into a random order, blocked by pair and seed, and record it.

    Within a block the strategies come in random order, and so do the blocks: what drifts on a
    machine (heat, neighbours) then falls on all strategies of a seed alike.
    """
    entropy = time.time_ns() % 2**32
    rng = random.Random(entropy)
    blocks: dict[str, list[RunDir]] = {}
    for run in runs:
        blocks.setdefault(run.read_spec().match_key, []).append(run)
    order = list(blocks.values())
    rng.shuffle(order)
    for block in order:
        rng.shuffle(block)
        _prerequisites_first(block)
    flat = [run for block in order for run in block]
    files.append(
        experiment.ledger,
        {
            "event": "order",
            "at": datetime.now(UTC).isoformat(),
            "random_seed": entropy,
            "max_parallel": max_parallel,
            "order": [run.run_id for run in flat],
        },
    )
    return flat


def _prerequisites_first(block: list[RunDir]) -> None:
    """Let every run that follows another change places with it, if it stands before it."""
    for run in list(block):
        leader = prerequisite_of(run)
        ids = [one.run_id for one in block]
        if leader and leader.run_id in ids and ids.index(leader.run_id) > ids.index(run.run_id):
            here, there = ids.index(run.run_id), ids.index(leader.run_id)
            block[here], block[there] = block[there], block[here]


def queued_by(experiment: ExperimentDir) -> frozenset[str]:
    """The runs that the last front wanted to start."""
    orders = [entry for entry in files.read(experiment.ledger) if entry.get("event") == "order"]
    return frozenset(orders[-1]["order"]) if orders else frozenset()
