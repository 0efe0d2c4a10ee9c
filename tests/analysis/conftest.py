"""Results with chosen numbers, written and gathered as real runs are."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kbench import files
from kbench.analysis.frame import Frames, load
from kbench.config.experiment import Pair, Recipe
from kbench.config.run_spec import Origin, RunSpec
from kbench.config.strategy_choice import Choice, Role
from kbench.records.folders import ExperimentDir
from kbench.records.journal import PhaseLength
from kbench.records.liveness import state_of
from kbench.records.run_files import Done, Failure, Job, Provenance
from kbench.records.run_state import FailureKind
from kbench.records.schema import EpochRecord, Identity, RunRecord, columns
from kbench.records.store import Tables, gather

PLAIN = {
    "attempt": 1, "lr": 0.1, "lr_scale": 1.0, "n_samples": 100, "n_trained": 100, "n_scored": 0, "n_refreshed": 0,
    "n_hidden": 0, "n_dropped": 0, "train_loss": 1.0, "train_acc": 0.5, "val_loss": 1.0, "val_acc5": 1.0,
    "plan_s": 0.0, "data_s": 0.0, "forward_s": 0.0, "backward_s": 0.0, "update_s": 0.0, "select_s": 0.0,
    "refresh_s": 0.0, "sync_s": 0.0, "eval_s": 0.5, "cpu_s": 1.0, "peak_mem_bytes": 1000,
    "ended_at": datetime(2026, 1, 2, tzinfo=UTC),
}  # fmt: skip
PLACE = {
    "device_name": "one cpu", "hosts": ["node1"], "torch_version": "2.9", "threads_per_rank": 2, "commit": "c0ffee",
    "max_parallel": 1, "launcher": "local", "dataset_identity": "ba9876543210", "dirty": False, "n_devices": 0,
    "metric": "top-1 accuracy",
}  # fmt: skip
ENDED_AT = datetime(2026, 1, 2, tzinfo=UTC)


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
        name: str = "",
        role: Role | None = None,
        recipe: Recipe | None = None,
        upstream: str = "",
        like: str = "",
        fails: str = "",
        place: Mapping[str, Any] | None = None,
        at: tuple[str, int] | None = None,
        **columns: float,
    ) -> str:
        """Write a run: an accuracy and a time per epoch, ``score`` likewise for an earlier phase; returns its id.

        ``at`` is its block and its place there.
        One with ``upstream``, a model, began with the weights of its strategy's run of that seed on that model.
        """
        changes = {"model": model, "name": f"{model}-digits", "recipe": recipe or self.pair.recipe}
        pair = self.pair.model_copy(update=changes)
        choice = Choice(label=strategy, name=name or strategy, role=role, params={"like": like} if like else {})
        origin = None
        if upstream:
            there = pair.model_copy(
                update={"model": upstream, "name": f"{upstream}-digits", "recipe": self.pair.recipe}
            )
            origin, choice = Origin(pair=there, strategy=choice), Choice(label=strategy, name="baseline")
        run = RunSpec(experiment="book", pair=pair, strategy=choice, upstream=origin, seed=seed, ranks=1)
        folder = self.folder.run(run.run_id)
        folder.prepare(run)
        block, number = at or (None, None)
        Job(id=1, host="node1", attempt=1, block=block, place=number).write(folder.path)
        end = {key: value for key, value in (place or {}).items() if key in Done.model_fields}
        made = {key: value for key, value in (place or {}).items() if key not in Done.model_fields}
        Provenance.model_validate({**PLACE, **made}).write(folder.path)
        epochs = [("score", i, *pair) for i, pair in enumerate(score)]
        epochs += [("train", i, *pair) for i, pair in enumerate(zip(accuracy, seconds, strict=True))]
        folder.journal.unlink(missing_ok=True)  # of the same run, written before
        elapsed_s = 0.0
        for phase, epoch, acc, train_s in epochs:
            elapsed_s += train_s
            own = {"phase": phase, "epoch": epoch, "val_acc1": acc, "train_s": train_s, "elapsed_s": elapsed_s}
            record = EpochRecord.model_validate(PLAIN | own | columns)
            files.append(folder.journal, record.model_dump(mode="json"))
        if fails:
            folder.fail(Failure.of(fails, kind=FailureKind.RAISED, attempt=1).updated(ended_at=ENDED_AT))
        else:
            lengths = [PhaseLength(name="score", epochs=len(score))] if score else []
            lengths.append(PhaseLength(name="train", epochs=len(accuracy)))
            folder.finish(Done.of(attempt=1, phases=lengths).updated(ended_at=ENDED_AT, **end))
        return run.run_id

    def frames(self) -> Frames:
        """What was gathered from all of it."""
        gather(self.folder, state_of)
        return load(Tables.of(self.folder))


@pytest.fixture
def book(tmp_path: Path, pair: Pair) -> Book:
    """An experiment without any run."""
    return Book(ExperimentDir(tmp_path / "book"), pair)


@pytest.fixture
def three(book: Book) -> Book:
    """Three seeds of two strategies; differences of the best accuracies .01, 0, .02; ratios of time .5, .8, .625.

    The runs of ``mine`` are written in another order than those of the baseline.
    """
    book.run("baseline", 0, [0.90, 0.89], [5.0, 5.0])
    book.run("baseline", 1, [0.80, 0.82], [10.0, 10.0])
    book.run("baseline", 2, [0.70, 0.64], [20.0, 20.0])
    book.run("mine", 2, [0.60, 0.72], [10.0, 15.0], n_hidden=30)
    book.run("mine", 1, [0.82, 0.80], [8.0, 8.0], n_hidden=20)
    book.run("mine", 0, [0.91, 0.91], [2.0, 3.0], n_hidden=10)
    return book


@pytest.fixture
def made() -> Callable[..., Frames]:
    """Frames of runs in memory: ``made({("baseline", 0): ([0.5, 0.9], [10.0, 10.0])})``, accuracies and seconds."""

    def frames_of(runs: Mapping[tuple[str, int], tuple[Sequence[float], Sequence[float]]]) -> Frames:
        lines, epochs = [], []
        for (strategy, seed), (accuracy, seconds) in runs.items():
            who = {
                "experiment": "book", "pair": "p", "model": "m", "dataset": "d", "strategy": strategy, "seed": seed,
                "ranks": 1, "run_id": f"p.{strategy}.s{seed}", "match_key": f"k{seed}",
            }  # fmt: skip
            elapsed = np.cumsum(seconds).tolist()
            for epoch, (acc, train_s, elapsed_s) in enumerate(zip(accuracy, seconds, elapsed, strict=True)):
                own = {"phase": "train", "epoch": epoch, "val_acc1": acc, "train_s": train_s, "elapsed_s": elapsed_s}
                epochs.append({**who, **PLAIN, **own})
            summary = {"best_acc1": max(accuracy), "final_acc1": accuracy[-1], "total_train_s": elapsed[-1]}
            counts = {"n_trained": 100 * len(accuracy), "n_scored": 0, "n_refreshed": 0, "hidden_mean": 0.0}
            lines.append({**who, "state": "done", "epochs_done": len(accuracy), **summary, **counts})
        frames = []
        for rows, model in ((epochs, EpochRecord), (lines, RunRecord)):
            names = [column.name for column in columns(Identity, model)]
            frames.append(pd.DataFrame(rows).reindex(columns=names))
        text = ["imported_from", "disturbs", "error", "weights_digest", "order_digest", "augment_digest", "metric"]
        text += ["upstream", "dataset_note"]
        return Frames("book", frames[0], frames[1].astype(dict.fromkeys(text, "object")))

    return frames_of
