"""Journals and run folders made by hand, so that no training is needed to read them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.journal import PhaseLength
from kbench.records.run_files import Done, Failure, Job
from kbench.records.run_state import FailureKind
from kbench.records.schema import EpochRecord

MakeEpoch = Callable[..., EpochRecord]
MakeRun = Callable[..., RunDir]


@pytest.fixture
def make_epoch() -> MakeEpoch:
    """An epoch of a run as rank 0 writes it: ``make_epoch(2, val_acc1=0.5)``."""

    def make(epoch: int = 0, **changes: object) -> EpochRecord:
        parts = ("plan", "data", "forward", "backward", "update", "select", "refresh", "sync")
        facts = {
            **{f"{part}_s": 0.25 for part in parts},
            **{"attempt": 1, "phase": "train", "epoch": epoch, "lr": 0.05, "lr_scale": 1.0, "n_samples": 100},
            **{"n_trained": 80, "n_scored": 10, "n_refreshed": 20, "n_hidden": 20, "n_dropped": 0},
            **{"train_loss": 1.0, "train_acc": 0.5, "val_loss": 1.0, "val_acc1": 0.1 * (epoch + 1), "val_acc5": None},
            **{"train_s": 2.0, "eval_s": 0.5, "elapsed_s": 2.0 * (epoch + 1), "cpu_s": 2.0, "peak_mem_bytes": 2**20},
            "ended_at": datetime(2025, 1, 1, 12, epoch, tzinfo=UTC),
        }
        return EpochRecord.model_validate(facts | changes)

    return make


@pytest.fixture
def experiment_dir(tmp_path: Path) -> ExperimentDir:
    """results/small/, not made yet."""
    return ExperimentDir(tmp_path / "results" / "small")


@pytest.fixture
def make_run(experiment_dir: ExperimentDir, run_spec: RunSpec, make_epoch: MakeEpoch) -> MakeRun:
    """The folder of a run with some epochs and an end: ``make_run(seed=1, epochs=2, end="done")``."""

    def make(*, epochs: int = 0, end: str = "", spec: RunSpec = run_spec, **changes: object) -> RunDir:
        spec = spec.model_copy(update=changes)
        run = experiment_dir.run(spec.run_id)
        run.prepare(spec)
        for epoch in range(epochs):
            files.append(run.journal, make_epoch(epoch).model_dump(mode="json"))
        if end:
            run.begin(Job(launcher="local", id=1, host="elsewhere", attempt=1))
        ended_at = datetime(2025, 1, 1, 12, 30, tzinfo=UTC)
        if end == "done":
            phases = (PhaseLength(name="train", epochs=epochs),)
            run.finish(Done.of(attempt=1, phases=phases).updated(ended_at=ended_at))
        elif end == "failed":
            failure = Failure.of("it broke", kind=FailureKind.RAISED, attempt=1)
            run.fail(failure.updated(ended_at=ended_at))
        return run

    return make
