"""What turns are worth: the baseline against itself and against a known ratio, in turn and not.

``python tests/bench/bench_turns.py [--seeds 5] [--epochs 20] [--load 0]``

Twice the baseline must show no difference, and ``random`` at 0.3 the share of batches that it trains, both ways; the
spread over seeds says how many seeds an interval takes.  ``--load`` starts busy loops beside it.
"""

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

EXPERIMENT = """\
name: {name}
pairing: {pairing}
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {{epochs: {epochs}, global_batch: {batch}, lr: 0.05, schedule: cosine, augment: shift}}
strategies:
  - baseline
  - {{baseline: {{}}, label: again}}
  - random: {{fraction: 0.3}}
seeds: {seeds}
"""


def measured(folder: Path, pairing: str, args: argparse.Namespace) -> None:
    """Train an experiment with one pairing, and print the ratio of each strategy's time to the baseline's."""
    import kbench

    name = f"bench-{pairing}"
    text = EXPERIMENT.format(
        name=name, pairing=pairing, epochs=args.epochs, batch=args.batch, seeds=list(range(args.seeds))
    )
    (folder / f"{name}.yaml").write_text(text)
    began = time.perf_counter()
    report = kbench.run(folder / f"{name}.yaml", results=folder / "results")
    report.raise_failures()
    wall_s = time.perf_counter() - began
    frames = kbench.load(folder / f"{name}.yaml", results=folder / "results")
    times = frames.runs.pivot(index="seed", columns="strategy", values="total_train_s")
    trained = frames.runs.pivot(index="seed", columns="strategy", values="n_trained")
    share = frames.epochs["cpu_share"].mean()
    for label in ("again", "random"):
        logs = [math.log(ratio) for ratio in times[label] / times["baseline"]]
        known = float((trained[label] / trained["baseline"]).mean())
        mean, spread = statistics.fmean(logs), statistics.stdev(logs)
        half = 2 * spread / math.sqrt(len(logs))
        print(
            f"{pairing:6} {label:8} time {100 * math.expm1(mean):+7.2f} % +- {100 * half:5.2f}"
            f"  spread {100 * spread:5.2f} %  samples {100 * (known - 1):+6.1f} %"
            f"  cpu_share {share:.2f}  wall {wall_s:.0f} s",
            flush=True,
        )


def main(arguments: Sequence[str]) -> None:
    """Measure without turns, then with them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--load", type=int, default=0, help="busy loops beside it")
    args = parser.parse_args(arguments)
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.load)]
    try:
        with tempfile.TemporaryDirectory(prefix="kbench-bench-") as folder:
            for pairing in ("none", "turns"):
                measured(Path(folder), pairing, args)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
