"""Wrong labels in the real loop: the same for all strategies of a seed, also where two seeds share their data."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.records.folders import RunDir
from kbench.strategies.api import Batch, Measured
from kbench.tasks.workload import Workload
from kbench.worker.setup import SharedWorkload, build_run

CPU = torch.device("cpu")
RECIPE = {"epochs": 2, "global_batch": 48, "lr": 0.05, "schedule": "constant", "n_train": 480}
NOISY = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE | {"noise": 0.2}})
CLEAN = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE})
Who = tuple[str, int]  # strategy and seed
BuildRuns = Callable[[Sequence[Who]], list[Run]]
EVERYONE = [("baseline", 0), ("baseline", 1), ("sb", 0), ("sb", 1)]


@pytest.fixture
def build_runs(tmp_path: Path) -> BuildRuns:
    """``build_runs([("sb", 0)])``: runs of one process, about to start, as a worker builds them."""

    def build(those: Sequence[Who]) -> list[Run]:
        shared = SharedWorkload()
        specs = [
            RunSpec(experiment="n", pair=NOISY, strategy=Choice(label=name, name=name), seed=seed, ranks=1)
            for name, seed in those
        ]
        return [build_run(RunDir(tmp_path / spec.run_id), spec, Comm(), CPU, "", shared, 1) for spec in specs]

    return build


def trained_in_turns(runs: Sequence[Run]) -> tuple[list[dict[int, int]], list[list[float]]]:
    """Train runs epoch by epoch in turn: the label that each sample was trained with, and the losses of the epochs."""
    labels: list[dict[int, int]] = [{} for _ in runs]
    losses: list[list[float]] = [[] for _ in runs]
    for run, seen in zip(runs, labels, strict=True):
        _listen(run, seen)
    trainings = [train(run) for run in runs]
    for _ in range(NOISY.recipe.epochs):
        for training, own in zip(trainings, losses, strict=True):
            own.append(next(training).train_loss)
    return labels, losses


def _listen(run: Run, seen: dict[int, int]) -> None:
    observe = run.strategy.observe

    def listening(batch: Batch, measured: Measured) -> None:
        for sample, label in zip(batch.index.tolist(), batch.y.tolist(), strict=True):
            assert seen.setdefault(sample, label) == label  # the same in every epoch
        observe(batch, measured)

    run.strategy.observe = listening  # type: ignore[method-assign]


def labels_of(pair: Pair, seed: int) -> list[int]:
    workload = Workload(pair, CPU)
    workload.alter(seed)
    assert workload.labels is not None
    return workload.labels.tolist()


def test_strategies_of_a_seed_train_on_the_same_wrong_labels_and_seeds_in_turn_on_their_own(
    build_runs: BuildRuns,
) -> None:
    labels, _ = trained_in_turns(build_runs(EVERYONE))
    true = labels_of(CLEAN, 0)
    assert true == labels_of(CLEAN, 1)
    noisy = {seed: dict(enumerate(labels_of(NOISY, seed))) for seed in (0, 1)}
    assert noisy[0] != noisy[1]
    for (strategy, seed), seen in zip(EVERYONE, labels, strict=True):
        assert len(seen) == 480 or (strategy == "sb" and len(seen) > 240)
        assert seen.items() <= noisy[seed].items()
    for seed in (0, 1):
        assert sum(label != true[sample] for sample, label in labels[seed].items()) == 96


def test_a_run_in_turn_with_another_seed_has_the_losses_that_it_has_alone(build_runs: BuildRuns) -> None:
    _, in_turns = trained_in_turns(build_runs([("baseline", 0), ("baseline", 1)]))
    _, alone = trained_in_turns(build_runs([("baseline", 0)]))
    assert in_turns[0] == alone[0] != in_turns[1]
