"""Kill runs at random moments of every phase, start them again, and hold them against runs that nobody killed.

``make soak KILLS=200``: each kill takes the next of all strategies, one or two ranks and a phase, and a random call
within it; a rank, any that comes there, kills itself before or after the call, and the others are killed with it, as a
launcher does.
The run is started again and must end with the same epochs, to the last bit, and the same weights; gathering that is
killed must be whole when it is done again.  Exit code 1 where anything differs.
"""

import json
import multiprocessing
import os
import pkgutil
import random
import runpy
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "strategies"))

import torch._dynamo  # noqa: E402, F401  # loaded once for all, as torch.optim loads it at its first step
from strategy_needs import THREE_EPOCHS  # noqa: E402

import kbench.worker.rank  # noqa: E402, F401  # likewise
from kbench.config.experiment import Pair  # noqa: E402
from kbench.config.run_spec import RunSpec  # noqa: E402
from kbench.config.strategy_choice import Choice  # noqa: E402
from kbench.errors import KBenchError  # noqa: E402
from kbench.records.folders import ExperimentDir, RunDir  # noqa: E402
from kbench.records.run_files import Job  # noqa: E402
from kbench.records.schema import EpochRecord  # noqa: E402
from kbench.strategies import STRATEGIES  # noqa: E402

RECIPE = {"epochs": 3, "n_train": 500, "global_batch": 96, "lr": 0.05, "schedule": "cosine", "augment": "shift"}
CALLS = {  # by phase: the function, and up to which of its calls
    "plan": ("kbench.engine.runtime.guard:Guarded.plan", 3),
    "step": ("kbench.engine.learner:Learner.step", 14),
    "refresh": ("kbench.engine.learner:Learner.refresh", 4),
    "merge": ("kbench.engine.samples:SampleStore.merge", 3),
    "evaluate": ("kbench.engine.loop:evaluate", 3),
    "checkpoint": ("kbench.engine.checkpoint:_replace", 3),
    "journal": ("kbench.files:append", 3),
}
MOMENTS = ("before", "after")
ONE_RANK = ("checkpoint", "journal")  # where only the first rank comes
FORKED = multiprocessing.get_context("fork")
WORKER = "kbench.worker"
SEEDED = "phase epoch lr lr_scale ceiling train_loss train_acc val_loss val_acc1 val_acc5".split()
NUMBERS = {name for name in EpochRecord.model_fields if name in SEEDED or name.startswith("n_")}


class Kill(NamedTuple):
    """Where a rank kills itself."""

    phase: str
    place: str
    call: int
    moment: str
    rank: int = 0


def armed(kill: Kill) -> None:
    """Replace a function by one in which the process kills itself at one of its calls."""
    place, _, name = kill.place.replace(":", ".").rpartition(".")
    owner, n_left = pkgutil.resolve_name(place), kill.call
    inner = getattr(owner, name)

    def killed(*words: Any, **more: Any) -> Any:
        nonlocal n_left
        n_left -= 1
        if n_left == 0 and kill.moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = inner(*words, **more)
        if n_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, killed)


def call(kill: Kill | None, output: Path, env: dict[str, str], module: str, *words: str) -> None:
    """Run a module as ``python -m`` does, in a process that was forked after torch was loaded, which saves seconds."""
    os.environ.update(env)
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if kill:
        armed(kill)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def start(folder: RunDir, kill: Kill | None = None) -> list[int | None]:
    """Run the next attempt to its end, or to where it is killed; returns the exit codes of its ranks."""
    ranks = folder.read_spec().ranks
    folder.begin(Job.of(attempt=folder.read_attempt() + 1).updated(threads_per_rank=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks), "OMP_NUM_THREADS": "1"}
    started = []
    for rank in range(ranks):
        env = shared | {"GLOO_SOCKET_IFNAME": "lo", "RANK": str(rank), "LOCAL_RANK": str(rank)}
        ends = kill if kill and kill.rank == rank else None
        started.append(FORKED.Process(target=call, args=(ends, folder.stderr, env, WORKER, str(folder.path))))
        started[-1].start()
    first = started[kill.rank if kill else 0]
    first.join(timeout=600)
    for one in started:
        if first.exitcode in (None, -signal.SIGKILL):
            one.kill()
        one.join(timeout=600)
    return [one.exitcode for one in started]


def numbers(folder: RunDir) -> list[dict[str, Any]]:
    """What two trainings of a seed must have in common, to the last bit: its epochs and its weights."""
    done = folder.read().done
    digests = {"weights": done.final_digest, "first": done.weights_digest} if done else {}
    return [record.model_dump(include=NUMBERS) for record in folder.epochs()] + [digests]


class Soak:
    """The runs that nobody killed, and how kills of others went."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.rng = place, random.Random(seed)
        self.whole: dict[tuple[str, int], RunDir] = {}
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def folder(self, name: str, ranks: int, kind: str) -> RunDir:
        """A run that was never started."""
        pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE})
        choice = Choice(label=name, name=name, params=THREE_EPOCHS.get(name, {}))
        spec = RunSpec(experiment="soak", pair=pair, strategy=choice, seed=0, ranks=ranks)
        folder = RunDir(self.place / kind / "soak" / "runs" / spec.run_id)
        folder.prepare(spec)
        return folder

    def strike(self, name: str, ranks: int, phase: str) -> None:
        """Kill a run once in a phase, start it again, and compare."""
        key = (name, ranks)
        if key not in self.whole:
            folder = self.folder(name, ranks, "whole")
            if any(start(folder)):
                raise KBenchError(f"{name} with {ranks} ranks does not train: {folder.stderr.read_text()[-400:]}")
            self.whole[key] = folder
        whole = self.whole[key]
        if phase == "gather":
            self._gather(whole)
            return
        if phase == "refresh" and not any(record.n_refreshed for record in whole.epochs()):
            phase = "step"  # it measures nothing again
        place, last = CALLS[phase]
        rank = 0 if phase in ONE_RANK else self.rng.randrange(ranks)
        kill = Kill(phase, place, self.rng.randint(1, last), self.rng.choice(MOMENTS), rank)
        killed = self.folder(name, ranks, f"killed-{sum(self.counts.values())}")
        if start(killed, kill)[kill.rank] != -signal.SIGKILL:
            self._note(f"{phase}: not reached", killed, whole, kill)
            return
        codes = start(killed)
        self._note(phase, killed, whole, kill, "" if not any(codes) else f"ended with {codes} when started again")

    def _note(self, what: str, killed: RunDir, whole: RunDir, kill: Kill, trouble: str = "") -> None:
        self.counts[what] += 1
        if not trouble and numbers(killed) != numbers(whole):
            trouble = "differs from the run that nobody killed"
        if trouble:
            self.wrong.append(
                f"{killed.path}: {trouble}, killed {kill.moment} call {kill.call} of {kill.phase} on rank {kill.rank}"
            )
            print(self.wrong[-1], flush=True)

    def _gather(self, whole: RunDir) -> None:
        folder = ExperimentDir(whole.path.parent.parent)
        words = ("kbench", "gather", "soak", "--results", str(folder.path.parent), "--json")
        kill = Kill("gather", "kbench.records.store:_write", self.rng.randint(1, 2), self.rng.choice(MOMENTS))
        answer = self.place / "gathered"
        for ends in (kill, None):
            answer.unlink(missing_ok=True)
            done = FORKED.Process(target=call, args=(ends, answer, {}, *words))
            done.start()
            done.join()
        self.counts["gather"] += 1
        n_runs = len(list(folder.all_runs()))
        printed = answer.read_text()
        if done.exitcode or json.loads(printed)["n_runs"] != n_runs or list(folder.path.glob(".*")):
            self.wrong.append(f"{folder.path}: gathered again after a kill: {printed}")
            print(self.wrong[-1], flush=True)


def main(n_kills: int, seed: int) -> int:
    """Strike ``n_kills`` times; returns how many runs differed."""
    rounds = [(name, ranks, phase) for name in STRATEGIES for ranks in (1, 2) for phase in (*CALLS, "gather")]
    random.Random(seed).shuffle(rounds)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        soak = Soak(Path(place), seed)
        for number in range(n_kills):
            name, ranks, phase = rounds[number % len(rounds)]
            soak.strike(name, ranks, phase)
            done = ", ".join(f"{what} {n}" for what, n in sorted(soak.counts.items()))
            print(f"{number + 1} of {n_kills} ({time.monotonic() - began:.0f} s): {done}", flush=True)
    print(f"{n_kills} kills of {len(soak.whole)} combinations, {len(soak.wrong)} runs differed (seed {seed})")
    return len(soak.wrong)


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32)))
