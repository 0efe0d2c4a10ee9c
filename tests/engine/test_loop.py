"""The loop: matched, counted, timed, and the same as the dozen lines that everyone writes."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kbench.data.sources.digits import load
from kbench.data.views.augment import augmented
from kbench.engine.clock import PARTS
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.seeds import stream
from kbench.errors import RunError
from kbench.models.digits import DigitsCNN
from kbench.records.schema import EpochRecord

Numbers = Callable[[Iterable[EpochRecord]], list[dict[str, Any]]]

Trainings = Callable[..., Any]
KAKURENBO = {"fraction": 0.3, "confidence": 0.3, "milestones": [2], "shares": [1.0, 0.5]}
FORGET = {"fraction": 0.25, "score_epochs": 2}
# Together they use every path of the loop.
STRATEGIES: dict[str, dict[str, Any]] = {
    "baseline": {},
    "random": {"fraction": 0.3},
    "budget": {"share": 0.67},
    "iswr": {"unbiased": True},
    "forget": FORGET,
    "sb": {"beta": 1.0},
    "kakurenbo": KAKURENBO,
}
N, GLOBAL_BATCH = 1442, 48
TAIL = N % GLOBAL_BATCH
each_strategy = pytest.mark.parametrize(("name", "params"), STRATEGIES.items(), ids=STRATEGIES)


def of(training_of: Trainings, name: str) -> Any:
    return training_of(name, STRATEGIES[name])


# the same as a plain loop


def plain_training(seed: int, epochs: int, lr: float) -> list[tuple[float, float]]:
    """Training loss and validation accuracy of each epoch, as anyone would write it."""
    train_set, val_set = load()
    with torch.random.fork_rng():
        torch.manual_seed(stream(seed, "weights"))
        model = DigitsCNN((1, 8, 8), 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    n_steps, told = N // GLOBAL_BATCH, []
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(N, generator=torch.Generator().manual_seed(stream(seed, "order", "train", epoch)))
        losses = []
        for step in range(n_steps):
            ids = order[step * GLOBAL_BATCH : (step + 1) * GLOBAL_BATCH]
            x = augmented(train_set.x[ids], ids, how="shift", key=stream(seed, "augment", "train", epoch))
            loss = F.cross_entropy(model(x), train_set.y[ids])
            for group in optimizer.param_groups:
                group["lr"] = lr / 2 * (1 + math.cos(math.pi * (epoch + (step + 0.5) / n_steps) / epochs))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        with torch.no_grad():
            hits = model.eval()(val_set.x).argmax(1) == val_set.y
        told.append((sum(losses) / n_steps, float(hits.double().mean())))
    return told


def test_the_baseline_is_a_plain_training_loop(training_of: Trainings) -> None:
    records, plain = training_of().records, plain_training(seed=0, epochs=3, lr=0.05)
    assert [r.train_loss for r in records] == pytest.approx([loss for loss, _ in plain], rel=1e-4)
    assert [r.val_acc1 for r in records] == pytest.approx([acc for _, acc in plain], abs=1.01 / 355)


# the same again


@pytest.mark.parametrize("name", ["baseline", "sb", "kakurenbo"])
def test_a_run_gives_the_same_numbers_again(
    name: str, training_of: Trainings, new_training_of: Trainings, numbers: Numbers
) -> None:
    first = of(training_of, name)
    torch.manual_seed(12345)
    np.random.seed(12345)
    assert numbers(new_training_of(name, STRATEGIES[name]).records) == numbers(first.records)


def test_another_seed_gives_other_numbers(training_of: Trainings, new_training_of: Trainings) -> None:
    other = new_training_of(seed=1, epochs=1).records
    assert other[0].train_loss != training_of().records[0].train_loss


# matched to the baseline


@pytest.mark.parametrize("name", ["budget", "sb", "kakurenbo"])
def test_who_plans_everything_begins_as_the_baseline_does(name: str, training_of: Trainings) -> None:
    ours, baseline = of(training_of, name), training_of()
    assert ours.ids(0) == baseline.ids(0)
    first, theirs = ours.trained[0][0], baseline.trained[0][0]
    assert torch.equal(first[0].x, theirs[0].x) and torch.equal(first[1].loss, theirs[1].loss)


def test_every_strategy_starts_every_phase_from_the_same_weights(run_of: Callable[..., Run]) -> None:
    digests = set()
    for name, params in STRATEGIES.items():
        run = run_of(name, params)
        digests |= {Learner(run.workload, run.seed, run.comm).digest() for p in run.strategy.phases(3)}
    assert len(digests) == 1


def test_forget_sees_the_baselines_views_once_it_trains(training_of: Trainings) -> None:
    views, theirs = of(training_of, "forget").views(2), training_of().views(0)
    assert len(views) > 1000 and all(theirs.get(i, view) == view for i, view in views.items())


@pytest.mark.parametrize("name", ["random", "iswr", "sb", "kakurenbo"])
def test_a_sample_looks_the_same_in_an_epoch_whoever_trains_on_it(name: str, training_of: Trainings) -> None:
    ours, baseline = of(training_of, name), training_of()
    for epoch in range(3):
        views, theirs = ours.views(epoch), baseline.views(epoch)
        common = views.keys() & theirs.keys()
        assert len(common) > 400 and all(views[i] == theirs[i] for i in common), epoch


def test_a_sample_looks_different_in_different_epochs(training_of: Trainings) -> None:
    first, second = (training_of().views(epoch) for epoch in (0, 1))
    common = first.keys() & second.keys()
    same = sum(first[i] == second[i] for i in common) / len(common)
    assert abs(same - 1 / 9) < 0.04


def test_each_epoch_has_an_order_of_its_own(training_of: Trainings) -> None:
    orders = [tuple(training_of().ids(epoch)) for epoch in range(3)]
    assert len(set(orders)) == 3


# counting


@each_strategy
def test_records_count_what_was_trained_on(name: str, params: dict[str, Any], training_of: Trainings) -> None:
    training = training_of(name, params)
    assert [r.n_trained for r in training.records] == [
        len(training.ids(epoch)) for epoch in range(len(training.records))
    ]
    assert all(r.n_trained % GLOBAL_BATCH == 0 and r.n_samples == N for r in training.records)


@pytest.mark.parametrize("name", ["baseline", "random", "budget", "forget", "kakurenbo"])
def test_every_sample_is_trained_on_hidden_or_dropped(name: str, training_of: Trainings) -> None:
    for record in of(training_of, name).records:
        assert record.n_trained + record.n_hidden + record.n_dropped == N
        assert record.n_scored == 0 and record.n_dropped < GLOBAL_BATCH


def test_the_baseline_drops_its_tail_and_hides_nobody(training_of: Trainings) -> None:
    assert {(r.n_trained, r.n_hidden, r.n_dropped, r.n_refreshed) for r in training_of().records} == {
        (1440, 0, TAIL, 0)
    }


def test_iswr_counts_repeats_and_leaves_out_who_was_not_drawn(training_of: Trainings) -> None:
    training = of(training_of, "iswr")
    for record, plan in zip(training.records, training.plans, strict=True):
        assert (record.n_trained, record.n_dropped) == (1440, TAIL)
        assert record.n_hidden == N - len(set(plan.indices.tolist())) > 300
    assert [r.n_refreshed for r in training.records] == [N, N, 0]


def test_sb_trains_on_drops_or_rejects_whom_it_scored(training_of: Trainings) -> None:
    training = of(training_of, "sb")
    primed, *choosing = zip(training.records, training.n_selected, strict=True)
    assert (primed[0].n_scored, primed[0].n_trained, primed[0].n_dropped) == (0, 1440, TAIL)
    for record, n_kept in choosing:
        assert record.n_scored == N - TAIL
        assert record.n_trained + record.n_dropped - TAIL == n_kept
        assert 0.3 < n_kept / record.n_scored < 0.7


def test_random_hides_exactly_its_share(training_of: Trainings) -> None:
    assert [r.n_hidden for r in of(training_of, "random").records] == [int(0.3 * N)] * 3


def test_kakurenbo_measures_again_whom_it_hid(training_of: Trainings) -> None:
    records = of(training_of, "kakurenbo").records
    assert [r.n_hidden for r in records][0] == 0 and min(r.n_hidden for r in records[1:]) > 0
    assert [r.n_refreshed for r in records[:-1]] == [r.n_hidden for r in records[:-1]]


@pytest.mark.parametrize("name", ["iswr", "kakurenbo"])
def test_nobody_is_measured_again_after_the_last_epoch(name: str, training_of: Trainings) -> None:
    last = of(training_of, name).records[-1]
    assert last.n_refreshed == 0 and last.refresh_s == 0 and last.n_hidden > 0


@each_strategy
def test_training_loss_and_accuracy_are_means_of_what_was_trained_on(
    name: str, params: dict[str, Any], training_of: Trainings
) -> None:
    training = training_of(name, params)
    for record, steps in zip(training.records, training.trained, strict=True):
        loss = torch.cat([measured.loss for _, measured in steps]).double().mean()
        hits = torch.cat([measured.correct for _, measured in steps]).double().mean()
        assert (record.train_loss, record.train_acc) == (pytest.approx(float(loss)), pytest.approx(float(hits)))


# what strategies are shown, and what comes of it


def test_kakurenbo_hides_by_the_losses_of_the_epoch_before(training_of: Trainings) -> None:
    training = of(training_of, "kakurenbo")
    loss, sure, right = np.full(N, math.log(10), np.float32), np.full(N, 0.1, np.float32), np.zeros(N, bool)
    for batch, measured in training.trained[0]:
        loss[batch.index], sure[batch.index], right[batch.index] = measured.loss, measured.confidence, measured.correct
    climbing = sorted(range(N), key=lambda i: (loss[i], i))
    hidden = {i for i in climbing[: int(0.3 * N)] if right[i] and sure[i] >= np.float32(0.3)}
    assert training.records[1].n_hidden == len(hidden) > 0
    assert not hidden & set(training.ids(1))
    assert training.records[1].lr_scale == pytest.approx(1 / 0.7) and training.records[2].lr_scale == pytest.approx(
        1 / 0.85
    )


def test_hidden_samples_are_shown_as_measured_after_the_epoch(training_of: Trainings) -> None:
    training = of(training_of, "kakurenbo")
    hidden, later = training.plans[1].refresh, training.shown[2]
    assert len(hidden) > 0 and (later.age[hidden] == 0).all()
    assert not torch.equal(later.loss[hidden], training.shown[1].loss[hidden])


def test_samples_of_the_tail_keep_what_is_known_of_them(training_of: Trainings) -> None:
    training = training_of()
    for epoch in (0, 1):
        left_out = sorted(set(range(N)) - set(training.ids(epoch)))
        before, after = training.shown[epoch], training.shown[epoch + 1]
        assert len(left_out) == TAIL and torch.equal(after.loss[left_out], before.loss[left_out])
        assert after.age[left_out].tolist() == [-1 if age < 0 else age + 1 for age in before.age[left_out].tolist()]


def test_iswr_is_shown_fresh_losses_of_everyone(training_of: Trainings) -> None:
    shown = of(training_of, "iswr").shown
    assert not shown[0].known.any() and all((stats.age == 0).all() for stats in shown[1:])


def test_iswr_weighs_the_samples_that_it_drew(training_of: Trainings) -> None:
    training = of(training_of, "iswr")
    for plan, steps in zip(training.plans, training.trained, strict=True):
        assert all(torch.equal(batch.weight, plan.weights[batch.index]) for batch, _ in steps)


def test_forget_counts_events_over_its_scoring_and_prunes_the_share(new_training_of: Trainings) -> None:
    training = new_training_of("forget", {"fraction": 0.5, "score_epochs": 4}, epochs=1)
    right, learnt, events = np.zeros(N, bool), np.zeros(N, bool), np.zeros(N)
    for epoch in range(4):
        for batch, measured in training.trained[epoch]:
            ids, now = batch.index.numpy(), measured.correct.numpy()
            events[ids] += right[ids] & ~now
            learnt[ids] |= now
            right[ids] = now
    score = np.where(learnt, events, np.inf)
    pruned = set(sorted(range(N), key=lambda i: (score[i], i))[: N // 2])
    assert events.sum() > 0 and training.records[-1].n_hidden == N // 2
    assert not pruned & set(training.ids(4))


# phases, time and schedule


def test_forgets_scoring_is_recorded_and_on_the_clock(training_of: Trainings) -> None:
    records = of(training_of, "forget").records
    assert [(r.phase, r.epoch) for r in records] == [("score", 0), ("score", 1), *(("train", e) for e in range(3))]
    assert records[2].elapsed_s > records[0].train_s + records[1].train_s


@each_strategy
def test_elapsed_time_is_the_running_sum_over_phases(name: str, params: dict[str, Any], training_of: Trainings) -> None:
    records = training_of(name, params).records
    assert [r.elapsed_s for r in records] == pytest.approx(np.cumsum([r.train_s for r in records]).tolist())


@each_strategy
def test_parts_add_up_to_the_training_time(name: str, params: dict[str, Any], training_of: Trainings) -> None:
    for record in training_of(name, params).records:
        parts = [getattr(record, part) for part in PARTS]
        assert min(parts) >= 0 and sum(parts) == pytest.approx(record.train_s, rel=0.02)


def test_an_epoch_takes_no_less_time_than_it_records(run_of: Callable[..., Run]) -> None:
    epochs, started = train(run_of("kakurenbo", KAKURENBO, epochs=2)), time.perf_counter()
    for record in epochs:
        now = time.perf_counter()
        assert 0 < record.train_s + record.eval_s <= now - started
        started = now


@pytest.mark.parametrize(("name", "part"), [("sb", "select_s"), ("kakurenbo", "refresh_s"), ("iswr", "refresh_s")])
def test_forward_passes_of_a_method_are_charged_to_it(name: str, part: str, training_of: Trainings) -> None:
    ours, baseline = of(training_of, name).records[1], training_of().records[1]
    assert getattr(ours, part) > getattr(baseline, part)


def test_the_budget_decays_its_learning_rate_in_fewer_epochs(training_of: Trainings) -> None:
    rates = [r.lr for r in of(training_of, "budget").records]
    assert rates == pytest.approx([0.025 * (1 + math.cos(math.pi * share)) for share in (0.25, 0.75)])


def test_the_recorded_learning_rate_is_the_schedule_in_the_middle_of_the_epoch(training_of: Trainings) -> None:
    rates = [r.lr for r in of(training_of, "kakurenbo").records]
    assert rates == pytest.approx([0.025 * (1 + math.cos(math.pi * share)) for share in (1 / 6, 3 / 6, 5 / 6)])


def test_kakurenbo_scales_from_the_first_epoch_after_the_warm_up(new_training_of: Trainings) -> None:
    records = new_training_of("kakurenbo", {**KAKURENBO, "milestones": [30]}, epochs=3, warmup_epochs=2).records
    assert [r.lr_scale for r in records] == [1.0, 1.0, pytest.approx(1 / 0.7)]


# what cannot be trained


def test_an_epoch_with_fewer_samples_than_a_global_batch_is_an_error(run_of: Callable[..., Run]) -> None:
    with pytest.raises(RunError, match="15 samples for epoch 0 .*fewer than one global batch of 48"):
        next(train(run_of("random", {"fraction": 0.99})))


def test_a_choice_that_leaves_nothing_to_train_on_is_an_error(run_of: Callable[..., Run]) -> None:
    epochs = train(run_of("sb", {"beta": 1e6}))
    next(epochs)
    with pytest.raises(RunError, match="nothing was trained on in epoch 1 .*global batch of 48"):
        next(epochs)


def test_a_training_loss_that_is_not_finite_is_an_error(run_of: Callable[..., Run]) -> None:
    with pytest.raises(RunError, match="training loss is not finite in epoch 0"):
        next(train(run_of(lr=1e30)))


def test_a_validation_loss_that_is_not_finite_is_recorded_as_unknown(run_of: Callable[..., Run]) -> None:
    (record,) = train(run_of(lr=1e30, global_batch=N, epochs=1))
    assert record.val_loss is None and math.isfinite(record.train_loss)
