"""How long gather and compare take for many runs: 10 pairs x 10 strategies x 10 seeds x 200 epochs."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from kbench.analysis.compare import compare
from kbench.analysis.frame import load
from kbench.analysis.tables.layout import tables
from kbench.analysis.tables.plain import text
from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.records.folders import ExperimentDir
from kbench.records.journal import PhaseLength
from kbench.records.liveness import state_of
from kbench.records.run_files import Done, Job, Provenance
from kbench.records.store import Tables, gather

Found = TypeVar("Found")
PAIRS, STRATEGIES, SEEDS, EPOCHS = 10, 10, 10, 200
PARTS = ("plan_s", "data_s", "forward_s", "backward_s", "update_s", "select_s", "refresh_s", "sync_s")
RECIPE = {"epochs": EPOCHS, "global_batch": 48, "lr": 0.05, "schedule": "cosine"}
PLACE = {
    "device_name": "one cpu", "hosts": ["node1"], "torch_version": "2.9", "threads_per_rank": 2, "commit": "c0ffee",
    "max_parallel": 1, "dirty": False, "n_devices": 0, "metric": "top-1 accuracy",
}  # fmt: skip


def lines(rng: np.random.Generator) -> str:
    """A journal: accuracies that rise and times that wander."""
    accuracy = 0.9 * (1 - np.exp(-np.arange(EPOCHS) / 30)) + rng.normal(0, 0.005, EPOCHS)
    parts = rng.uniform(0.9, 1.1, (EPOCHS, len(PARTS)))
    elapsed = parts.sum(axis=1).cumsum()
    return "".join(
        json.dumps(
            {
                "attempt": 1, "phase": "train", "epoch": epoch, "lr": 0.05, "lr_scale": 1.0, "n_samples": 1000,
                "n_trained": 700, "n_scored": 10, "n_refreshed": 300, "n_hidden": 300, "n_dropped": 0,
                "train_loss": 1.0, "train_acc": 0.5, "val_loss": 1.0, "val_acc1": accuracy[epoch], "val_acc5": None,
                "train_s": parts[epoch].sum(), **dict(zip(PARTS, parts[epoch], strict=True)), "eval_s": 0.1,
                "elapsed_s": elapsed[epoch], "cpu_s": 1.0, "peak_mem_bytes": 1000,
                "ended_at": "2026-01-02T00:00:00Z",
            }
        )
        + "\n"
        for epoch in range(EPOCHS)
    )  # fmt: skip


def write(folder: ExperimentDir) -> None:
    """Write the folders of all runs as real ones are left."""
    rng = np.random.default_rng(0)
    for pair in range(PAIRS):
        spec = Pair.model_validate({"name": f"pair{pair}", "model": f"m{pair}", "dataset": "digits", "recipe": RECIPE})
        for strategy in range(STRATEGIES):
            label = f"method{strategy}" if strategy else "baseline"
            for seed in range(SEEDS):
                choice = Choice(label=label, name=label)
                run = RunSpec(experiment="many", pair=spec, strategy=choice, seed=seed, ranks=1)
                place = folder.run(run.run_id)
                place.prepare(run)
                Job(id=1, host="node1", attempt=1).write(place.path)
                Provenance.model_validate(PLACE).write(place.path)
                place.journal.write_text(lines(rng))
                place.finish(Done.of(attempt=1, phases=[PhaseLength(name="train", epochs=EPOCHS)]))


def timed(what: str, do: Callable[[], Found]) -> Found:
    """Do it and print how long it took."""
    started = time.perf_counter()
    found = do()
    print(f"{what:<46}{time.perf_counter() - started:7.2f} s", flush=True)
    return found


def main() -> None:
    """Print the seconds of each step."""
    with tempfile.TemporaryDirectory() as place:
        folder = ExperimentDir(Path(sys.argv[1] if len(sys.argv) > 1 else place) / "many")
        if not folder.path.exists():
            write(folder)
        n_runs = PAIRS * STRATEGIES * SEEDS
        timed(f"gather {n_runs} runs of {EPOCHS} epochs", lambda: gather(folder, state_of))
        frames = timed("read what was gathered", lambda: load(Tables.of(folder)))
        targets = [0.6, 0.8, 0.95]
        found = timed("compare, audit included", lambda: compare(frames, baseline="baseline", targets=targets))
        timed("print the tables", lambda: text(tables(found), found.findings))


if __name__ == "__main__":
    main()
