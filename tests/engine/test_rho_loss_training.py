"""RHO-LOSS in the real loop: two models, two parts of the data, and one batch out of all candidates at once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from kbench.engine.checkpoint import load, save
from kbench.engine.loop import Run, train

Trainings = Callable[..., Any]
N, BATCH = 1442, 48
HALF = N // 2
N_BATCHES = HALF // BATCH  # of the training part: 15
QUARTER = {"keep": 0.25, "holdout_epochs": 2}  # 15 batches are candidates four at a time, and then three


def test_with_keep_1_and_no_holdout_it_trains_exactly_like_the_baseline(training_of: Trainings) -> None:
    ours, baseline = training_of("rho-loss", {"keep": 1.0, "holdout": 0.0}), training_of()
    assert [ours.ids(epoch) for epoch in range(3)] == [baseline.ids(epoch) for epoch in range(3)]
    assert [r.train_loss for r in ours.records] == [r.train_loss for r in baseline.records]
    assert all(r.n_scored == 0 for r in ours.records)


def test_the_holdout_model_measures_the_others_once_and_they_keep_it_as_their_floor(training_of: Trainings) -> None:
    training = training_of("rho-loss", QUARTER)
    first, second, *train_records = training.records
    assert [r.phase for r in training.records] == ["holdout"] * 2 + ["train"] * 3
    assert [first.n_refreshed, second.n_refreshed] == [0, N - HALF]
    assert all(r.n_refreshed == 0 for r in train_records)
    held, others = set(training.ids(0)), training.plans[2].indices
    assert held.isdisjoint(others.tolist()) and len(others) == N - HALF
    assert (training.shown[2].age[others] == 0).all()


def test_candidates_give_one_batch_and_all_of_them_are_paid_for(training_of: Trainings) -> None:
    training = training_of("rho-loss", QUARTER)
    for record, batches in zip(training.records[2:], training.trained[2:], strict=True):
        assert len(batches) == 4 and all(len(batch) == BATCH for batch, _ in batches)
        assert record.n_trained == 4 * BATCH and record.n_scored == N_BATCHES * BATCH
        assert record.n_hidden == HALF and record.n_dropped == (N - HALF) % BATCH
    assert training.records[-1].elapsed_s == pytest.approx(sum(r.train_s for r in training.records))
    assert training.records[0].train_s > 0


def test_candidates_of_one_batch_at_the_end_are_trained_unmeasured(training_of: Trainings) -> None:
    training = training_of("rho-loss", {"keep": 0.5, "holdout": 0.0}, global_batch=48)
    n_batches = N // BATCH
    n_pools, single = -(-n_batches // 2), n_batches % 2
    for record in training.records:
        assert record.n_trained == n_pools * BATCH and record.n_scored == (n_batches - single) * BATCH


def test_trains_on_more_reducible_loss_than_it_passes_over(training_of: Trainings) -> None:
    training = training_of("rho-loss", QUARTER)
    floor = training.shown[2].loss
    for epoch in (2, 3, 4):
        ids = torch.tensor(training.ids(epoch))
        mine = torch.cat([m.loss for _, m in training.trained[epoch]]) - floor[ids]
        assert len(set(ids.tolist())) == len(ids)
        if epoch < 4:  # what the next plan is shown of those passed over was measured by a look in this epoch
            seen = training.shown[epoch + 1]
            passed = (seen.age == 0) & ~torch.isin(torch.arange(N), ids)
            assert float(mine.mean()) > float((seen.loss - floor)[passed].mean())


def test_goes_on_from_a_checkpoint_in_either_phase_as_if_nothing_had_happened(run_of: Trainings, tmp_path: Any) -> None:
    def left_behind(run: Run, **place: Any) -> None:
        name = f"{place['phase']}{place['epoch']}"
        save(tmp_path / name, store=run.store, strategy=run.strategy, comm=run.comm, made_by={}, **place)

    whole = run_of("rho-loss", QUARTER)
    losses = [record.train_loss for record in train(whole, save=lambda **place: left_behind(whole, **place))]
    for name, n_left in (("01", 4), ("02", 3), ("11", 2)):
        again = run_of("rho-loss", QUARTER)
        start = load(tmp_path / name, comm=again.comm, device=again.workload.device, made_by={})
        assert [record.train_loss for record in train(again, start)] == losses[-n_left:]
