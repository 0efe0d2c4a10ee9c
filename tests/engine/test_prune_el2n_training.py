"""EL2N pruning in the real loop: a scoring phase that counts, then a training on the hard part."""

from collections.abc import Callable
from typing import Any

import torch

Trainings = Callable[..., Any]
N, BATCH = 1442, 48


def test_with_fraction_0_the_training_is_exactly_the_baselines(training_of: Trainings) -> None:
    ours, baseline = training_of("prune-el2n", {"fraction": 0.0, "score_epochs": 2}), training_of()
    train = [r for r in ours.records if r.phase == "train"]
    assert [r.train_loss for r in train] == [r.train_loss for r in baseline.records]
    assert [r.lr for r in train] == [r.lr for r in baseline.records]
    assert [ours.ids(2 + epoch) for epoch in range(3)] == [baseline.ids(epoch) for epoch in range(3)]


def test_scoring_is_the_beginning_of_a_full_training_and_its_time_counts(training_of: Trainings) -> None:
    training = training_of("prune-el2n", {"score_epochs": 2}, epochs=4)
    first, second, *train = training.records
    assert [(r.phase, r.epoch) for r in training.records] == [("score", 0), ("score", 1)] + [
        ("train", e) for e in range(4)
    ]
    assert [first.lr, second.lr] == [r.lr for r in train[:2]]
    assert [first.n_refreshed, second.n_refreshed] == [0, N] and second.refresh_s > 0
    assert train[0].elapsed_s > sum(r.train_s for r in (first, second))


def test_trains_without_the_lowest_error_norms_of_the_scoring_model(training_of: Trainings) -> None:
    training = training_of("prune-el2n", {"score_epochs": 2, "fraction": 0.4})
    shown, plans = training.shown[2], training.plans[2:]
    assert (shown.age == 0).all()
    ranked = torch.tensor(sorted(range(N), key=lambda i: (float(shown.error_norm[i]), i)))
    kept = ranked[int(0.4 * N) :].sort().values
    for plan, record in zip(plans, training.records[2:], strict=True):
        assert torch.equal(plan.indices, kept)
        assert record.n_hidden == int(0.4 * N) and record.n_dropped == len(kept) % BATCH
        assert record.n_trained + record.n_hidden + record.n_dropped == N
        assert record.n_refreshed == record.n_scored == 0
