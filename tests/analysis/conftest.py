"""Results with chosen numbers, written and gathered as real runs are."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kbench.analysis.frame import Frames, load
from kbench.launch.state import state_of
from kbench.records import journal
from kbench.records.folders import ExperimentDir, write_json
from kbench.records.schema import EpochRecord
from kbench.records.store import gather
from kbench.spec.experiment import Choice, Pair
from kbench.spec.run import RunSpec

PLAIN = {
    "attempt": 1, "lr": 0.1, "lr_scale": 1.0, "n_samples": 100, "n_trained": 100, "n_scored": 0, "n_refreshed": 0,
    "n_hidden": 0, "n_dropped": 0, "train_loss": 1.0, "train_acc": 0.5, "val_loss": 1.0, "val_acc5": 1.0,
    "plan_s": 0.0, "data_s": 0.0, "forward_s": 0.0, "backward_s": 0.0, "update_s": 0.0, "select_s": 0.0,
    "refresh_s": 0.0, "sync_s": 0.0, "eval_s": 0.5, "cpu_s": 1.0, "peak_mem_bytes": 1000,
    "ended_at": datetime(2026, 1, 2, tzinfo=UTC),
}  # fmt: skip
PLACE = {
    "device_name": "one cpu", "hosts": ["node1"], "torch_version": "2.9", "threads_per_rank": 2, "commit": "c0ffee",
    "max_parallel": 1, "dirty": False, "n_devices": 0, "metric": "top-1 accuracy",
}  # fmt: skip


class Book:
    """An experiment whose runs end as a test says."""

    def __init__(self, folder: ExperimentDir, pair: Pair) -> None:
        self.folder, self.pair = folder, pair

    def run(
        self,
        strategy: str,
        seed: int,
        accuracy: Sequence[float],
        seconds: Sequence[float],
        *,
        score: Sequence[tuple[float, float]] = (),
        model: str = "digits-cnn",
        fails: str = "",
        place: Mapping[str, Any] | None = None,
        **columns: float,
    ) -> str:
        """Write a run: an accuracy and a time per epoch, ``score`` likewise for an earlier phase; returns its id."""
        pair = self.pair.model_copy(update={"model": model, "name": f"{model}-digits"})
        choice = Choice(label=strategy, name=strategy)
        run = RunSpec(experiment="book", pair=pair, strategy=choice, seed=seed, ranks=1)
        folder = self.folder.run(run.run_id)
        folder.prepare(run)
        folder.note_job({"id": 1, "host": "node1", "attempt": 1})
        write_json(folder.path / "provenance.json", {**PLACE, **(place or {})})
        epochs = [("score", i, *pair) for i, pair in enumerate(score)]
        epochs += [("train", i, *pair) for i, pair in enumerate(zip(accuracy, seconds, strict=True))]
        elapsed_s = 0.0
        for phase, epoch, acc, train_s in epochs:
            elapsed_s += train_s
            own = {"phase": phase, "epoch": epoch, "val_acc1": acc, "train_s": train_s, "elapsed_s": elapsed_s}
            record = EpochRecord.model_validate(PLAIN | own | columns)
            journal.append(folder.journal, record.model_dump(mode="json"))
        if fails:
            folder.fail({"error": fails, "ended_at": "2026-01-02T00:00:00+00:00"})
        else:
            folder.finish({"attempt": 1, "last_phase": "train", "ended_at": "2026-01-02T00:00:00+00:00"})
        return run.run_id

    def frames(self) -> Frames:
        """What was gathered from all of it."""
        gather(self.folder, state_of)
        return load(self.folder)


@pytest.fixture
def book(tmp_path: Path, pair: Pair) -> Book:
    """An experiment without any run."""
    return Book(ExperimentDir(tmp_path / "book"), pair)
