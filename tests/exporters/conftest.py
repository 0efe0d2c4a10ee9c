"""Finished runs made by hand, as the worker leaves them."""

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kbench import files
from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.journal import PhaseLength
from kbench.records.run_files import Done, Failure, Job, Provenance
from kbench.records.run_state import FailureKind
from kbench.records.schema import EpochRecord

_spec = importlib.util.spec_from_file_location("cli_conftest", Path(__file__).parents[1] / "cli" / "conftest.py")
assert _spec and _spec.loader
_cli = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_cli)
here = _cli.here  # the command line in this process

Finish = Callable[..., RunDir]

BEGAN = datetime(2025, 1, 1, 12, tzinfo=UTC)
PARTS = ("plan", "data", "forward", "backward", "update", "select", "refresh", "sync")
DEEPCAM = {
    "epochs": 4,
    "global_batch": 2048,
    "lr": 0.0055,
    "schedule": "step",
    "milestones": [2.017, 3.017],
    "warmup_epochs": 1.0,
    "optimizer": "lamb",
    "eps": 1e-6,
    "max_grad_norm": 1.0,
    "weight_decay": 0.01,
}


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentDir:
    """results/climate/, not made yet."""
    return ExperimentDir(tmp_path / "results" / "climate")


@pytest.fixture
def finish(experiment: ExperimentDir) -> Finish:
    """A run on DeepCAM's full size: ``finish(accuracies=[0.5, 0.8], end="failed", seed=3)``."""

    def make(
        accuracies: tuple[float, ...] = (0.31, 0.55, 0.79, 0.8225),
        *,
        strategy: str = "baseline",
        seed: int = 1,
        end: str = "done",
        phases: tuple[str, ...] = (),
        n_trained: int = 59 * 2048,
        recipe: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> RunDir:
        content = {"model": "deepcam", "dataset": "deepcam", "name": "climate", "recipe": recipe or DEEPCAM}
        pair = Pair.model_validate(content)
        choice = Choice(label=strategy, name=strategy)
        spec = RunSpec(experiment="climate", pair=pair, strategy=choice, seed=seed, ranks=8)
        run = experiment.run(spec.run_id)
        run.prepare(spec)
        run.begin(Job.of(attempt=1).updated(launcher="local", id=7, submitted_at=BEGAN))
        facts = {
            "worker_started_at": (BEGAN + timedelta(seconds=4)).isoformat(),
            "staging_started_at": (BEGAN + timedelta(seconds=20)).isoformat(),
            "staging_stopped_at": (BEGAN + timedelta(seconds=80.25)).isoformat(),
            "started_at": (BEGAN + timedelta(seconds=90)).isoformat(),
            "hosts": ["n1", "n2"],
            "n_devices": 8,
            "device_name": "NVIDIA H200",
            "metric": "mean_iou",
            "epochs": DEEPCAM["epochs"],
            "n_val": 15158,
        }
        Provenance.model_validate(facts | (provenance or {})).write(run.path)
        elapsed = 0.0
        for n, accuracy in enumerate(accuracies):
            elapsed += 25.123456
            phase = phases[n] if phases else "train"
            epoch = n if not phases else phases[:n].count(phase)
            record = {
                **{f"{part}_s": 25.123456 / 8 for part in PARTS},
                **{"attempt": 1, "phase": phase, "epoch": epoch, "lr": 0.005, "lr_scale": 1.0, "n_samples": 121266},
                **{"n_trained": n_trained, "n_scored": 0, "n_refreshed": 0, "n_hidden": 0, "n_dropped": 434},
                **{"train_loss": 0.1, "train_acc": 0.9, "val_loss": 0.2, "val_acc1": accuracy, "val_acc5": None},
                **{"val_acc_worst": accuracy / 2, "val_acc_classes": (accuracy, None, accuracy / 2)},
                **{"train_s": 25.123456, "eval_s": 3.5, "elapsed_s": elapsed, "cpu_s": 2.0, "peak_mem_bytes": 2**20},
                "ended_at": BEGAN + timedelta(seconds=95 + 30 * (n + 1), microseconds=123 * n),
            }
            files.append(run.journal, EpochRecord.model_validate(record).model_dump(mode="json"))
        ended_at, names = BEGAN + timedelta(seconds=300), phases or ("train",) * len(accuracies)
        if end == "done":
            lengths = [PhaseLength(name=name, epochs=names.count(name)) for name in dict.fromkeys(names)]
            run.finish(Done.of(attempt=1, phases=lengths).updated(ended_at=ended_at))
        elif end == "failed":
            run.fail(Failure.of("it broke", kind=FailureKind.RAISED, attempt=1).updated(ended_at=ended_at))
        return run

    return make
