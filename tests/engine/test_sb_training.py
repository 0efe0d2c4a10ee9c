"""Stale-SB and SB by epochs in the real loop: whom they look at, train on and measure again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Trainings = Callable[..., Any]
N, TAIL = 1442, 2


@pytest.mark.parametrize("name", ["sb-stale", "sb-epoch"])
def test_with_beta_0_they_train_exactly_like_the_baseline(name: str, training_of: Trainings) -> None:
    ours, baseline = training_of(name, {"beta": 0.0}), training_of()
    for epoch in range(3):
        assert ours.ids(epoch) == baseline.ids(epoch)
    for epoch in (0, 1):  # weights of 1 change the rounding of gradients, and training makes more of it, step by step
        losses, theirs = (torch.cat([m.loss for _, m in training.trained[epoch][:3]]) for training in (ours, baseline))
        assert torch.allclose(losses, theirs, rtol=1e-5)
    counts = [(r.n_trained, r.n_hidden, r.n_dropped, r.n_refreshed) for r in ours.records]
    assert counts == [(N - TAIL, 0, TAIL, 0)] * 3
    assert [r.train_loss for r in ours.records] == pytest.approx([r.train_loss for r in baseline.records], rel=1e-3)


def test_stale_sb_looks_in_every_kth_epoch_only(training_of: Trainings) -> None:
    training = training_of("sb-stale", {"every": 2}, epochs=6)
    assert [r.n_scored for r in training.records] == [0, 0, 1440, 0, 1440, 0]
    for record, n_kept in list(zip(training.records, training.n_selected, strict=True))[1:]:
        assert record.n_trained + record.n_dropped - TAIL == n_kept and 0.3 < n_kept / 1440 < 0.7


def test_stale_sb_looks_at_epoch_0_when_nothing_is_primed(training_of: Trainings) -> None:
    records = training_of("sb-stale", {"prime_epochs": 0}).records
    assert [r.n_scored for r in records] == [1440, 0, 0] and records[0].n_trained < 1440


def test_stale_sb_knows_of_each_sample_what_was_last_seen_of_it_trained_or_not(training_of: Trainings) -> None:
    training, known = training_of("sb-stale", {"every": 4}, epochs=4), np.full(N, np.log(10), np.float32)
    for epoch in range(3):
        for batch, measured in training.trained[epoch]:
            known[batch.index] = measured.loss
        assert np.array_equal(training.shown[epoch + 1].loss.numpy(), known)
    assert 0.2 < (training.shown[3].age > 0).float().mean() < 0.9  # many were passed over in epoch 2


@pytest.mark.parametrize("percentile", ["rank", "histogram"])
def test_sb_by_epochs_measures_again_whom_it_hid(percentile: str, training_of: Trainings) -> None:
    training = training_of("sb-epoch", {"percentile": percentile})
    first, *later = training.records
    assert (first.n_hidden, first.n_refreshed, first.n_trained) == (0, 0, 1440)
    for record, plan, shown in zip(later, training.plans[1:], [*training.shown[2:], None], strict=True):
        assert record.n_scored == 0 and record.n_hidden == len(plan.refresh) > 100
        assert record.n_trained + record.n_hidden + record.n_dropped == N
        assert record.n_refreshed == (0 if shown is None else record.n_hidden)  # not after the last epoch
        assert shown is None or (shown.age[plan.refresh] == 0).all()


def test_sb_by_epochs_keeps_about_half_by_rank_and_more_by_histogram(training_of: Trainings) -> None:
    by_rank, by_histogram = (
        training_of("sb-epoch", {"percentile": how}).records[1].n_hidden / N for how in ("rank", "histogram")
    )
    assert 0.45 < by_rank < 0.55 and by_histogram < by_rank


def test_a_schedule_in_updates_never_gets_to_its_end_with_sb_by_epochs(training_of: Trainings) -> None:
    by_epochs, by_updates = (
        training_of("sb-epoch", {"lr_clock": clock}).records[-1].lr for clock in ("epochs", "updates")
    )
    assert by_updates > 2 * by_epochs
