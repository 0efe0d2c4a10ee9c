"""FORGET online in the real loop: whom it hides, measures again and gets back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Trainings = Callable[..., Any]
N, TAIL = 1442, 2


def test_with_fraction_0_it_trains_exactly_like_the_baseline(training_of: Trainings) -> None:
    ours, baseline = training_of("forget-online", {"fraction": 0.0}), training_of()
    for epoch in range(3):
        assert ours.ids(epoch) == baseline.ids(epoch)
    for record, theirs in zip(ours.records, baseline.records, strict=True):
        assert (record.n_trained, record.n_hidden, record.n_dropped, record.n_refreshed) == (N - TAIL, 0, TAIL, 0)
        assert record.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert record.val_loss == pytest.approx(theirs.val_loss, rel=1e-5)


@pytest.mark.parametrize("keep_unlearnt", [True, False])
def test_hides_who_was_forgotten_least_over_training_and_refreshes(keep_unlearnt: bool, training_of: Trainings) -> None:
    training = training_of("forget-online", {"fraction": 0.4, "keep_unlearnt": keep_unlearnt}, epochs=6)
    right, learnt, events = np.zeros(N, bool), np.zeros(N, bool), np.zeros(N)
    for epoch, (plan, record) in enumerate(zip(training.plans, training.records, strict=True)):
        now, known = training.shown[epoch].correct.numpy(), training.shown[epoch].known.numpy()
        events, right, learnt = events + (right & ~now), now, learnt | now
        score = np.where(learnt if keep_unlearnt else known, events, np.inf)
        ranked = sorted(range(N), key=lambda i: (score[i], i))
        expected = sorted(i for i in ranked[: int(0.4 * N)] if known[i]) if epoch >= 2 else []
        assert plan.refresh.tolist() == expected
        assert record.n_hidden == len(expected) and record.n_trained + record.n_hidden + record.n_dropped == N
        assert record.n_refreshed == (len(expected) if epoch < 5 else 0) and record.n_scored == 0
    assert events.sum() > 0


def test_hidden_samples_come_back(training_of: Trainings) -> None:
    training = training_of("forget-online", {"fraction": 0.4}, epochs=6)
    before, after = (set(training.plans[epoch].refresh.tolist()) for epoch in (2, 5))
    assert before - after and all(i in training.ids(5) for i in sorted(before - after)[:1])
