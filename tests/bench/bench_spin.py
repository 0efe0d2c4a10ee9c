"""How long idle threads of OpenMP should spin: the same training with each setting, alone and beside busy loops.

``python tests/bench/bench_spin.py [--rounds 3] [--epochs 5] [--loops 0 2] [--spins 1000 20000]``

Intel's OpenMP is measured where its library is preloaded: ``--preload libiomp5.so``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

GNU = (0, 1_000, 5_000, 20_000, 100_000)  # turns of a loop
INTEL = (0, 1, 5, 20, 100)  # [ms]
SPIN = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
ONE = "--one"  # of our own processes: train, and print the figures


def train(n_epochs: int) -> None:
    """Train the digits in this process, and print what it took as JSON."""
    import torch

    from kbench.config.experiment import Pair
    from kbench.engine.clock import PhaseTimer
    from kbench.engine.loop import Run
    from kbench.engine.loop import train as epochs_of
    from kbench.engine.runtime.comm import Comm
    from kbench.engine.samples import SampleStore
    from kbench.strategies import load
    from kbench.tasks.workload import Workload

    recipe = {"epochs": n_epochs, "global_batch": 48, "lr": 0.05, "schedule": "constant", "augment": "shift"}
    pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": recipe})
    workload = Workload(pair, torch.device("cpu"))
    store = SampleStore(workload.n_samples, workload.n_classes, workload.device)
    run = Run(load("baseline"), workload, Comm(), store, PhaseTimer(workload.device), seed=0, attempt=1)
    records = list(epochs_of(run))
    train_s, cpu_s = sum(record.train_s for record in records), sum(record.cpu_s for record in records)
    wait_s = sum(record.cpu_wait_s or 0.0 for record in records)
    print(json.dumps({"train_s": train_s, "share": cpu_s / train_s / torch.get_num_threads(), "wait_s": wait_s}))


@contextmanager
def busy(n_loops: int) -> Iterator[None]:
    """So many processes that only count, inside the ``with`` block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_loops)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measured(setting: dict[str, str], n_epochs: int, preload: str) -> dict[str, float]:
    """One training in a process of its own."""
    environ = {key: value for key, value in os.environ.items() if key not in SPIN} | setting
    environ |= {"LD_PRELOAD": preload} if preload else {}
    command = [sys.executable, __file__, ONE, str(n_epochs)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(arguments: Sequence[str]) -> None:
    """Print a row per setting and number of busy loops: medians over rounds, in which every setting has its turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--loops", type=int, nargs="+", default=[0, 1, os.cpu_count() or 1])
    parser.add_argument("--spins", type=int, nargs="*", help="settings; default: a range")
    parser.add_argument("--preload", default="", help="Intel's OpenMP, libiomp5.so")
    args = parser.parse_args(arguments)
    print(f"{'spin':28} {'loops':>5} {'train_s':>9} {'min':>9} {'max':>9} {'share':>6} {'wait_s':>7}")
    name = "KMP_BLOCKTIME" if args.preload else "GOMP_SPINCOUNT"
    spins = args.spins or (INTEL if args.preload else GNU)
    settings = [{}, *({name: str(n)} for n in spins), {"OMP_WAIT_POLICY": "PASSIVE"}]
    for n_loops in args.loops:
        found: list[list[dict[str, float]]] = [[] for _ in settings]
        with busy(n_loops):
            for turn in range(args.rounds):
                for i in range(len(settings)):
                    place = (i + turn) % len(settings)
                    found[place].append(measured(settings[place], args.epochs, args.preload))
        for setting, rounds in zip(settings, found, strict=True):
            name = ", ".join(f"{key}={value}" for key, value in setting.items()) or "default"
            seconds = [one["train_s"] for one in rounds]
            share, wait_s = (statistics.median(one[key] for one in rounds) for key in ("share", "wait_s"))
            times = " ".join(f"{one:9.2f}" for one in (statistics.median(seconds), min(seconds), max(seconds)))
            print(name.ljust(28), f"{n_loops:5} {times} {share:6.2f} {wait_s:7.2f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [ONE]:
        train(int(sys.argv[2]))
    else:
        main(sys.argv[1:])
