"""Real ranks on this machine: processes that run kbench.worker, from a server that has imported it once."""

import multiprocessing
import os
import socket
import sys
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from kbench.records.folders import RunDir
from kbench.spec.run import RunSpec

PATIENCE_S = 300.0  # ranks that still wait for one another by then never stop


@dataclass(frozen=True)
class Ended:
    """How a run of several ranks ended."""

    codes: tuple[int | None, ...]  # exit codes by rank; None: it never ended
    error: str | None  # what went wrong
    hint: str = ""


def start(spec: RunSpec, place: Path) -> Ended:
    """Train ``spec`` in the folder ``place`` with as many ranks as it names, on CPUs, and wait for the end."""
    folder = RunDir(place / spec.run_id)
    folder.prepare(spec)
    folder.begin({"attempt": 1, "threads_per_rank": 1})
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(spec.ranks),
        "CUDA_VISIBLE_DEVICES": "",
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kbench.worker.work", "kbench.conformance.on_trial", "sklearn.datasets"])
    processes = []
    for rank in range(spec.ranks):
        place_of_rank = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(context.Process(target=_be_rank, args=(str(folder.path), place_of_rank), daemon=True))
    for process in processes:
        process.start()
    return _told(folder, _all_ended(processes))


def _told(folder: RunDir, codes: tuple[int | None, ...]) -> Ended:
    """What the run's own files say of its end."""
    facts: dict[str, Any] = folder.failed
    if facts:
        return Ended(codes, str(facts["error"]), str(facts["hint"]))
    if None in codes:
        return Ended(codes, f"the ranks waited for one another for {PATIENCE_S:g} s", "ask for the same on every rank")
    if any(codes) or not folder.done:
        said = folder.stderr.read_text(errors="replace").strip().splitlines()
        return Ended(codes, f"the ranks ended with {codes}", said[-1] if said else "they said nothing")
    return Ended(codes, None)


def _all_ended(processes: list[ForkServerProcess]) -> tuple[int | None, ...]:
    """Wait for all ranks; who does not come to an end is ended."""
    deadline = time.monotonic() + PATIENCE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    codes = tuple(process.exitcode for process in processes)
    for process in processes:
        process.kill()
        process.join()
    return codes


def _be_rank(folder: str, environ: dict[str, str]) -> None:
    """What a process of the server does: become a rank of kbench.worker."""
    from kbench.worker.work import main

    os.environ.update(environ)
    words = os.open(RunDir(Path(folder)).stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    sys.argv = ["kbench.worker", folder]
    main()


def _free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])
