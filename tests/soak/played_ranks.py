"""Stands for the Python of the ranks: writes what a run writes, epoch by epoch; only some runs really train.

It is called as Python is, with ``-m kbench.worker FOLDER``.  ``SOAK_REAL`` says of how many runs one really trains.
"""

import os
import re
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from kbench import files
from kbench.records import journal
from kbench.records.folders import RunDir, begun_attempts
from kbench.records.journal import PhaseLength
from kbench.records.run_files import Done, Provenance
from kbench.records.schema import EpochRecord

EPOCH_S = 1.0
COUNTS = dict.fromkeys("n_scored n_refreshed n_hidden n_dropped".split(), 0) | {"n_samples": 48, "n_trained": 48}
TIMES = dict.fromkeys("plan_s forward_s backward_s update_s select_s refresh_s sync_s eval_s cpu_s".split(), 0.0)
SCORES = {"train_loss": 1.0, "train_acc": 0.5, "val_loss": 1.0, "val_acc1": 0.5, "val_acc5": 0.9}


def is_real(run_id: str) -> bool:
    """Whether a run really trains: each whose seed the number divides."""
    seed = re.search(r"\.s(\d+)\.", run_id)
    return seed is not None and int(seed[1]) % int(os.environ["SOAK_REAL"]) == 0


def play(run: RunDir, attempt: int, n_epochs: int) -> None:
    """Write each epoch after a while, with a checkpoint behind it, unless another attempt has taken over."""
    files.remove_drafts(run.path / "*")
    run.reserve_room()
    phases = (PhaseLength(name="train", epochs=n_epochs),)
    Provenance(epochs=n_epochs, phases=phases, hosts=(socket.gethostname(),)).write(run.path)
    for epoch in range(files.read_json(run.checkpoint).get("epoch", 0), n_epochs):
        time.sleep(EPOCH_S)
        run.last_step.touch()
        place = {"attempt": attempt, "phase": "train", "epoch": epoch, "lr": 0.05, "lr_scale": 1.0}
        took = {"data_s": EPOCH_S, "train_s": EPOCH_S, "elapsed_s": EPOCH_S * (epoch + 1), "peak_mem_bytes": 0}
        ended = {"writer": f"{socket.gethostname()}:{os.getpid()}", "ended_at": datetime.now(UTC)}
        record = EpochRecord.model_validate(place | TIMES | took | ended | COUNTS | SCORES)
        journal.append(run.journal, record)
        latest = run.read_attempt()
        if latest > attempt:
            print(f"left: attempt {latest} has taken over from attempt {attempt}", file=sys.stderr)
            return
        files.write_json(run.checkpoint, {"epoch": epoch + 1})
    run.finish(Done.of(attempt=attempt, phases=phases))


if __name__ == "__main__":
    folder = RunDir(Path(sys.argv[-1]))
    if is_real(folder.run_id):
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    play(folder, begun_attempts([folder])[folder], folder.read_spec().pair.recipe.epochs)
