"""A plan may show its epoch's images smaller, otherwise augmented, or several times in a row."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kbench.engine.loop import Run, train
from kbench.errors import RunError
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, SampleStats, Strategy


@dataclass
class Views(Strategy):
    """Shows epoch 1 as it is asked to, and the others as the recipe does; keeps what it saw."""

    size: int | None = None
    how: str | None = None
    times: int = 1
    seen: list[list[tuple[Tensor, Tensor]]] = field(default_factory=list)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self.seen.append([])
        if epoch.index != 1:
            return EpochPlan(epoch.all_ids, refresh=epoch.all_ids[:5])
        return EpochPlan(
            epoch.all_ids, refresh=epoch.all_ids[:5], image_size=self.size, augment=self.how, repeats=self.times
        )

    def observe(self, batch: Batch, measured: Measured) -> None:
        self.seen[-1].append((batch.index, batch.x))


def trained(run: Run, strategy: Views) -> tuple[list[Any], Views]:
    return list(train(replace(run, strategy=strategy))), strategy


def test_an_epoch_of_smaller_images_is_evaluated_on_whole_ones(run_of: Callable[..., Run]) -> None:
    records, views = trained(run_of(), Views(size=4))
    assert [tuple(epoch[0][1].shape[2:]) for epoch in views.seen] == [(8, 8), (4, 4), (8, 8)]
    assert records[1].n_trained == records[0].n_trained and records[2].val_acc1 > 0.5


def test_smaller_images_change_no_other_epochs_order_or_looks(run_of: Callable[..., Run]) -> None:
    _, plain = trained(run_of(), Views())
    _, small = trained(run_of(), Views(size=4))
    for epoch in (0, 1, 2):
        assert torch.equal(plain.seen[epoch][3][0], small.seen[epoch][3][0])
    assert torch.equal(plain.seen[2][0][1], small.seen[2][0][1])
    shrunk = nn.functional.interpolate(plain.seen[1][0][1], size=4, mode="bilinear", antialias=True)
    assert torch.allclose(shrunk, small.seen[1][0][1], atol=1e-4)


def test_an_epoch_can_be_augmented_otherwise(run_of: Callable[..., Run]) -> None:
    run = run_of()
    _, views = trained(run, Views(how="none"))
    ids, x = views.seen[1][0]
    assert torch.equal(x, next(run.workload.batches([ids], key=1, augment="none"))[1])
    assert not torch.equal(
        views.seen[0][0][1], next(run.workload.batches([views.seen[0][0][0]], key=1, augment="none"))[1]
    )


def test_each_batch_can_be_trained_on_several_times_in_a_row(run_of: Callable[..., Run]) -> None:
    records, views = trained(run_of(), Views(times=3))
    ids = [index.tolist() for index, _ in views.seen[1]]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert records[1].n_trained == 3 * records[0].n_trained


def test_images_that_a_model_does_not_take_end_the_run_with_a_reason(run_of: Callable[..., Run]) -> None:
    run = run_of()

    class Rigid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(x.flatten(1))
            return out

    run.workload.model = Rigid  # type: ignore[method-assign]
    try:
        with pytest.raises(RunError, match="takes no images of 4 pixels"):
            trained(run, Views(size=4))
    finally:
        del run.workload.model


def test_plans_that_show_samples_otherwise_have_other_digests() -> None:
    ids = torch.arange(10)
    plans = [EpochPlan(ids), EpochPlan(ids, image_size=4), EpochPlan(ids, augment="none"), EpochPlan(ids, repeats=2)]
    assert len({plan.digest() for plan in plans}) == 4
