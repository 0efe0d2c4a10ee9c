"""AutoAssist in the real loop: an assistant that learns on a thread of its own, and runs that repeat."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from kbench.engine.checkpoint import load, save
from kbench.engine.loop import Run, train
from kbench.strategies.api import Batch, Measured, state_dict
from kbench.strategies.autoassist import Assistant, AutoAssist

Trainings = Callable[..., Any]
N, BATCH, SEEN = 1442, 48, 1440


class Watched(AutoAssist):
    """Notes who does the work, and how."""

    def _learn(self, batch: Batch, m: Measured) -> Assistant:
        WORKS.append((threading.get_ident(), torch.is_grad_enabled(), torch.get_num_threads(), batch.index.tolist()))
        return super()._learn(batch, m)


WORKS: list[tuple[int, bool, int, list[int]]] = []


def test_with_a_base_probability_of_1_it_trains_exactly_like_the_baseline(training_of: Trainings) -> None:
    ours, baseline = training_of("autoassist", {"base_prob": 1.0}), training_of()
    assert [ours.ids(epoch) for epoch in range(3)] == [baseline.ids(epoch) for epoch in range(3)]
    losses, theirs = (torch.cat([m.loss for _, m in training.trained[0][:4]]) for training in (ours, baseline))
    assert torch.allclose(losses, theirs, rtol=1e-4)  # queued batches lie elsewhere in memory, and rounding differs
    assert [r.train_loss for r in ours.records] == pytest.approx([r.train_loss for r in baseline.records], rel=1e-3)


def test_the_assistant_learns_on_another_thread_from_all_but_the_last_batches(run_of: Trainings) -> None:
    WORKS.clear()
    run = replace(run_of("autoassist"), strategy=Watched())
    records = list(train(run))
    threads = {thread for thread, _, _, _ in WORKS}
    assert threading.get_ident() not in threads and len(threads) <= 3  # one an epoch
    assert not any(grad for _, grad, _, _ in WORKS) and {n for _, _, n, _ in WORKS} == {1}
    n_updates = sum(r.n_trained for r in records) // BATCH
    assert n_updates - 3 * 2 <= len(WORKS) < n_updates and all(len(ids) == BATCH for *_, ids in WORKS)
    assert all(r.background_s > 0 for r in records)


def test_two_runs_are_equal_bit_by_bit(new_training_of: Trainings) -> None:
    first, second = (new_training_of("autoassist", {"lr": 0.1}) for _ in range(2))
    assert [first.ids(epoch) for epoch in range(3)] == [second.ids(epoch) for epoch in range(3)]
    exact = ("train_loss", "train_acc", "val_loss", "val_acc1", "n_trained", "n_dropped")
    for ours, theirs in zip(first.records, second.records, strict=True):
        assert [getattr(ours, name) for name in exact] == [getattr(theirs, name) for name in exact]


def test_accepts_between_the_base_probability_and_all_and_pays_for_no_look(training_of: Trainings) -> None:
    training = training_of("autoassist", {"base_prob": 0.3})
    for record, n_kept in zip(training.records, training.n_selected, strict=True):
        assert record.n_trained + record.n_dropped - (N - SEEN) == n_kept
        assert (record.n_scored, record.n_refreshed, record.n_hidden) == (0, 0, 0)
        assert 0.3 * SEEN < n_kept < SEEN
    untrained = 0.65 * SEEN  # at first, and the assistant is slow to change its mind
    assert abs(training.n_selected[0] - untrained) < 5 * math.sqrt(0.65 * 0.35 * SEEN) + 0.05 * SEEN


def test_a_quick_assistant_lets_fewer_easy_samples_pass(training_of: Trainings) -> None:
    training = training_of("autoassist", {"base_prob": 0.1, "lr": 0.5}, epochs=6)
    assert training.n_selected[-1] < training.n_selected[0]


def test_goes_on_from_a_checkpoint_as_if_nothing_had_happened(run_of: Trainings, tmp_path: Any) -> None:
    def left_behind(run: Run, **place: Any) -> None:
        if place["epoch"] == 1:
            save(tmp_path / "now", store=run.store, strategy=run.strategy, comm=run.comm, made_by={}, **place)

    whole, again = run_of("autoassist", {"lr": 0.1}), run_of("autoassist", {"lr": 0.1})
    losses = [r.train_loss for r in train(whole, save=lambda **place: left_behind(whole, **place))]
    start = load(tmp_path / "now", comm=again.comm, device=again.workload.device, made_by={})
    assert [r.train_loss for r in train(again, start)] == losses[1:]
    for ours, theirs in zip(state_dict(again.strategy).values(), state_dict(whole.strategy).values(), strict=True):
        assert torch.equal(ours, theirs)
