"""InfoBatch in the real loop: who is dropped, what the rest counts for, and how it ends."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from kbench.engine.learner import Learner

Trainings = Callable[..., Any]
N, BATCH, EPOCHS = 1442, 48, 8


def test_with_ratio_0_it_trains_exactly_like_the_baseline(training_of: Trainings) -> None:
    ours, baseline = training_of("infobatch", {"ratio": 0.0}), training_of()
    for epoch in range(3):
        assert ours.ids(epoch) == baseline.ids(epoch)
    assert [r.train_loss for r in ours.records] == [r.train_loss for r in baseline.records]


def test_drops_half_of_those_below_the_mean_until_the_last_eighth(training_of: Trainings) -> None:
    training = training_of("infobatch", epochs=EPOCHS)
    first, *pruning, last = training.records
    assert first.n_hidden == last.n_hidden == 0
    for record, plan, shown in zip(pruning, training.plans[1:-1], training.shown[1:-1], strict=True):
        known = shown.loss[shown.known].double()
        n_low = int((known < known.mean()).sum())
        assert record.n_hidden == n_low - n_low // 2 > N // 10
        assert record.n_trained + record.n_hidden + record.n_dropped == N
        assert record.n_dropped == len(plan.indices) % BATCH
    assert all((r.n_scored, r.n_refreshed, r.lr_scale) == (0, 0, 1.0) for r in training.records)


def test_who_was_dropped_keeps_the_last_loss_and_may_come_back(training_of: Trainings) -> None:
    training, came_back = training_of("infobatch", epochs=EPOCHS), 0
    for epoch in range(1, EPOCHS - 1):
        gone = torch.ones(N, dtype=torch.bool)
        gone[training.plans[epoch].indices] = False
        assert torch.equal(training.shown[epoch].loss[gone], training.shown[epoch + 1].loss[gone])
        assert (training.shown[epoch + 1].age[gone & training.shown[epoch].known] > 0).all()
        came_back += int(gone[training.plans[epoch + 1].indices].sum())
    assert came_back > 1000


def test_the_low_ones_that_stay_are_trained_with_twice_the_weight(training_of: Trainings) -> None:
    training = training_of("infobatch", epochs=EPOCHS)
    for epoch, (shown, batches) in enumerate(zip(training.shown, training.trained, strict=True)):
        mean = shown.loss[shown.known].double().mean() if shown.known.any() else 0.0
        for batch, _ in batches:
            low = shown.known[batch.index] & (shown.loss[batch.index].double() < mean)
            if epoch in (0, EPOCHS - 1):
                assert batch.weight is None
            else:
                assert torch.equal(batch.weight, 1 + low.float())


def test_the_length_of_the_batch_divides_and_not_its_weights(run_of: Trainings, training_of: Trainings) -> None:
    batch = training_of("infobatch", epochs=EPOCHS).trained[1][0][0]
    assert batch.weight is not None and 0 < int((batch.weight == 2).sum()) < BATCH
    run = run_of("infobatch", epochs=EPOCHS)
    learner, by_hand = (Learner(run.workload, 0, run.comm) for _ in range(2))
    learner.step(batch, 0.1, run.timer)
    by_hand.module.train()
    losses = torch.nn.functional.cross_entropy(by_hand.module(batch.x), batch.y, reduction="none")
    (sum(w * loss for w, loss in zip(batch.weight, losses, strict=True)) / BATCH).backward()
    for ours, theirs in zip(learner.module.parameters(), by_hand.module.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        assert ours.grad.numpy() == pytest.approx(theirs.grad.numpy(), rel=1e-3, abs=1e-6)
