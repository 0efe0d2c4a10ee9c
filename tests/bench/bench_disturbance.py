"""How often the rule of ``records/disturbance.py`` raises a false alarm, and what it misses.

``python tests/bench/bench_disturbance.py [--runs FILE] [--quiet 12] [--loaded 6] [--loads 25 50 100 200]``

Trains the digits with the baseline as ``quick`` does (20 epochs, a process for each run): first alone, then beside
busy loops of so many percent of a processor.  It needs a machine on which nothing else runs, 2 cores or more, no GPU,
and about six minutes on two cores; it stops after ``--minutes`` with what it has.  With ``--runs`` the measurements
are kept in FILE; a file that is there is judged again, and nothing is trained: other limits can be tried on the same
runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kbench.records.disturbance import COLUMNS, MeasuredRun, Surroundings, find_disturbed, over, surroundings

ONE = "--one"  # of our own processes: train with a seed, and print the columns of each epoch
SPIN = {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"}  # as job scripts set it
N_SEEDS = 3  # of an experiment: a run is judged beside two others
PERIOD_S = 0.02
LOOP = f"""
import time
while True:
    end = time.perf_counter() + {PERIOD_S} * DUTY
    while time.perf_counter() < end: pass
    if DUTY < 1: time.sleep({PERIOD_S} * (1 - DUTY))
"""


@dataclass(frozen=True)
class Measured:
    """A run, and how busy the machine was beside it [percent of a processor]."""

    load: int
    epochs: tuple[Surroundings, ...]

    @property
    def whole(self) -> Surroundings:
        """All epochs together."""
        return over(self.epochs)


def train(seed: int, n_epochs: int) -> None:
    """Train the digits in this process, and print the columns of each epoch as JSON."""
    import torch

    from kbench.config.experiment import Pair
    from kbench.engine.clock import PhaseTimer
    from kbench.engine.loop import Run
    from kbench.engine.loop import train as epochs_of
    from kbench.engine.runtime.comm import Comm
    from kbench.engine.samples import SampleStore
    from kbench.strategies import load
    from kbench.tasks.workload import Workload

    recipe = {"epochs": n_epochs, "global_batch": 48, "lr": 0.05, "schedule": "cosine", "augment": "shift"}
    pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": recipe})
    workload = Workload(pair, torch.device("cpu"))
    store = SampleStore(workload.n_samples, workload.n_classes, workload.device)
    run = Run(load("baseline"), workload, Comm(), store, PhaseTimer(workload.device), seed=seed, attempt=1)
    print(json.dumps([{name: getattr(record, name) for name in COLUMNS} for record in epochs_of(run)]))


@contextmanager
def busy(load: int) -> Iterator[None]:
    """Processes that count, and sleep where a share is left, inside the ``with`` block: ``load`` % of a processor."""
    duties = [1.0] * (load // 100) + [load % 100 / 100] * (load % 100 > 0)
    loops = [subprocess.Popen([sys.executable, "-c", LOOP.replace("DUTY", str(duty))]) for duty in duties]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Train the runs, a process each; quiet ones at the beginning and, the last third, at the end."""
    first, last = args.quiet - args.quiet // 3, args.quiet // 3
    plan = [(0, first), *((load, args.loaded) for load in args.loads), (0, last)]
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60 * args.minutes
    for load, n in plan:
        with busy(load):
            for _ in range(n):
                if time.monotonic() > deadline:
                    print(f"stopped after {args.minutes:g} minutes with {len(found)} runs", file=sys.stderr)
                    return found
                command = [sys.executable, __file__, ONE, str(len(found)), str(args.epochs)]
                done = subprocess.run(command, env=os.environ | SPIN, capture_output=True, text=True, check=True)
                found.append({"load": load, "epochs": json.loads(done.stdout)})
                seconds = sum(epoch["train_s"] for epoch in found[-1]["epochs"])
                print(f"run {len(found)} beside {load} %: {seconds:.2f} s", file=sys.stderr, flush=True)
    return found


def alarms(groups: Sequence[Sequence[Measured]]) -> tuple[int, int, int, int]:
    """Of experiments of one strategy: alarms about quiet runs, quiet runs, alarms about loaded ones, loaded ones."""
    counts = [0, 0, 0, 0]
    for group in groups:
        runs = [
            MeasuredRun(
                run_id=str(i),
                pair="digits",
                strategy="baseline",
                seed=i,
                instruments=(),
                on_gpu=False,
                epochs=run.epochs,
            )
            for i, run in enumerate(group)
        ]
        disturbed = find_disturbed(runs)
        for i, run in enumerate(group):
            place = 2 if run.load else 0
            counts[place] += str(i) in disturbed
            counts[place + 1] += 1
    return counts[0], counts[1], counts[2], counts[3]


def report(runs: Sequence[Measured]) -> Iterator[str]:
    """A line per load: what it did to the runs, and what the rule says of them in experiments of three seeds."""
    quiet = [run for run in runs if not run.load]
    usual = statistics.median(run.whole.train_s for run in quiet)
    yield "load   runs  train_s (min-max)         longer  share  waited  others   1 of 3 found  3 of 3 found  false"
    for load in sorted({run.load for run in runs}):
        own = [run for run in runs if run.load == load]
        seconds = [run.whole.train_s for run in own]
        medians = " ".join(_median(own, name).rjust(7) for name in ("cpu_share", "waited_share", "others_share"))
        shown = f"{statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"
        longer = 100 * (statistics.median(seconds) / usual - 1)
        line = f"{load:3d} %  {len(own):4d}  {shown:24} {longer:+6.0f} % {medians}"
        threes = [own[i : i + N_SEEDS] for i in range(0, len(own), N_SEEDS)]
        if not load:
            false, n, _, _ = alarms(threes)
            yield f"{line}  {'-':>12}  {'-':>12}  {false} of {n}"
            continue
        mixed = [[run, *_others(quiet, 2 * i)] for i, run in enumerate(own)]
        false, n_quiet, one, n = alarms(mixed)
        _, _, all_three, _ = alarms(threes)
        yield f"{line}  {f'{one} of {n}':>12}  {f'{all_three} of {n}':>12}  {false} of {n_quiet}"


def _others(quiet: Sequence[Measured], start: int) -> list[Measured]:
    return [quiet[(start + i) % len(quiet)] for i in range(min(N_SEEDS - 1, len(quiet)))]


def _median(runs: Sequence[Measured], name: str) -> str:
    known = [value for run in runs if (value := getattr(run.whole, name)) is not None]
    return f"{statistics.median(known):.3f}" if known else "-"


def main(arguments: Sequence[str]) -> None:
    """Measure, or read what was measured, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="file of measurements: read where it is there, else written")
    parser.add_argument("--quiet", type=int, default=12)
    parser.add_argument("--loaded", type=int, default=6)
    parser.add_argument("--loads", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=8.0)
    args = parser.parse_args(arguments)
    if args.runs and args.runs.exists():
        lines = json.loads(args.runs.read_text())
    else:
        print(f"load average now {os.getloadavg()[0]:.2f}; it should be near 0", file=sys.stderr)
        lines = measure(args)
        if args.runs:
            args.runs.write_text(json.dumps(lines))
    runs = [Measured(one["load"], tuple(filter(None, map(surroundings, one["epochs"])))) for one in lines]
    print("\n".join(report(runs)))


if __name__ == "__main__":
    if sys.argv[1:2] == [ONE]:
        train(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main(sys.argv[1:])
