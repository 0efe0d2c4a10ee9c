"""AsCoded of published code, as the real loop carries them out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.schedule import learning_rate
from kbench.records.schema import EpochRecord
from kbench.strategies.api import Batch, Measured

N, FULL_LENGTH = 1442, 30  # 30 global batches of 48
HIDES = {"fraction": 0.3, "confidence": 0.0}


@dataclass
class Recorded:
    """What went on inside a run."""

    rates: list[float] = field(default_factory=list)  # of each step
    logits: list[Tensor] = field(default_factory=list)  # of each step
    labels: list[Tensor] = field(default_factory=list)  # of each step
    measured: list[Measured] = field(default_factory=list)  # of each step
    refreshed: list[Measured] = field(default_factory=list)  # of each batch
    moved: list[bool] = field(default_factory=list)  # whether it moved BatchNorm's statistics
    moved_weights: list[bool] = field(default_factory=list)
    records: list[EpochRecord] = field(default_factory=list)


def values(tensors: Any) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def record_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], Recorded]:
    """Train to the end and listen to every step and every refresh, without changing what they do."""

    def listen(run: Run) -> Recorded:
        recorded, step, refresh, ready = Recorded(), Learner.step, Learner.refresh, []

        def listening_step(self: Learner, batch: Batch, lr: float, timer: PhaseTimer) -> Measured:
            keep = lambda _module, _inputs, output: recorded.logits.append(output.detach().clone())  # noqa: E731
            handle = self.module.register_forward_hook(keep)
            measured = step(self, batch, lr, timer)
            handle.remove()
            if self in ready:
                recorded.rates.append(lr)
                recorded.labels.append(batch.y)
                recorded.measured.append(measured)
            else:  # the warm-up's step comes first, and counts for nothing
                recorded.logits.pop()
                ready.append(self)
            return measured

        def listening_refresh(self: Learner, batch: Batch) -> Measured:
            buffers, weights = values(self.module.buffers()), values(self.module.parameters())
            recorded.refreshed.append(refresh(self, batch))
            recorded.moved.append(not same(buffers, list(self.module.buffers())))
            recorded.moved_weights.append(not same(weights, list(self.module.parameters())))
            return recorded.refreshed[-1]

        monkeypatch.setattr(Learner, "step", listening_step)
        monkeypatch.setattr(Learner, "refresh", listening_refresh)
        recorded.records.extend(train(run))
        return recorded

    return listen


# confidence


@pytest.mark.parametrize(("over", "dim"), [("classes", 1), ("batch", 0)])
def test_a_confidence_is_what_its_option_says(
    over: str, dim: int, record_steps: Any, run_of: Callable[..., Run]
) -> None:
    params = {"fraction": 0.3, "confidence": 0.2, "confidence_over": over}
    recorded = record_steps(run_of("kakurenbo", params, epochs=2))
    assert len(recorded.measured) > FULL_LENGTH
    for measured, logits, y in zip(recorded.measured, recorded.logits, recorded.labels, strict=True):
        share = logits.double().softmax(dim)
        expected = share.max(1).values if over == "batch" else share[torch.arange(len(y)), y]
        assert torch.allclose(measured.confidence.double(), expected, atol=1e-6)


def test_confidence_over_the_batch_decides_who_is_hidden(run_of: Callable[..., Run]) -> None:
    params = {"fraction": 0.3, "confidence": 0.6}
    plain, coded = (
        list(train(run_of("kakurenbo", {**params, "confidence_over": over}, epochs=2))) for over in ("classes", "batch")
    )
    assert plain[0].train_loss == coded[0].train_loss  # the training itself is the same
    assert coded[1].n_hidden < plain[1].n_hidden  # of 48 samples few are alone of their class


# refreshing


@pytest.mark.parametrize(("name", "params"), [("kakurenbo", HIDES), ("iswr", {}), ("sb-epoch", {})])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_refreshing_moves_batch_norm_only_where_its_option_says_so(
    name: str, params: dict[str, Any], mode: str, record_steps: Any, run_of: Callable[..., Run]
) -> None:
    recorded = record_steps(run_of(name, {**params, "refresh_in": mode}))
    assert len(recorded.moved) > 0 and set(recorded.moved) == {mode == "train"}
    assert not any(recorded.moved_weights)
    assert sum(len(m.loss) for m in recorded.refreshed) == sum(r.n_refreshed for r in recorded.records) > 0


def test_refreshing_in_training_mode_measures_with_the_statistics_of_the_batch(
    run_of: Callable[..., Run],
) -> None:
    run = run_of()
    learner = Learner(run.workload, 0, run.comm)
    index, x, y = next(run.workload.batches([torch.arange(40)], key=0))
    plain = learner.refresh(Batch(index, x, y))
    learner.as_coded = type(learner.as_coded)(refresh_in="train")
    coded = learner.refresh(Batch(index, x, y))
    learner.module.train()
    with torch.no_grad():
        assert torch.allclose(coded.loss, nn.functional.cross_entropy(learner.module(x), y, reduction="none"))
    assert not torch.allclose(plain.loss, coded.loss)


# the clock of the learning rate


def scheduled(run: Run, passed: float) -> float:
    return learning_rate(run.workload.recipe, passed / run.workload.recipe.epochs)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_by_updates_the_schedule_follows_real_updates(
    schedule: str, record_steps: Any, run_of: Callable[..., Run]
) -> None:
    recipe = {"schedule": schedule, "milestones": [1, 3], "gamma": 0.1} if schedule == "step" else {}
    run = run_of("kakurenbo", {**HIDES, "lr_clock": "updates"}, epochs=4, **recipe)
    recorded = record_steps(run)
    steps = [record.n_trained // 48 for record in recorded.records]
    scales = [record.lr_scale for record in recorded.records for _ in range(record.n_trained // 48)]
    assert steps[0] == FULL_LENGTH > min(steps[1:])
    assert recorded.rates == pytest.approx(
        [scheduled(run, k / FULL_LENGTH) * scale for k, scale in enumerate(scales)], rel=1e-12
    )


def test_by_epochs_the_schedule_follows_the_place_in_the_epoch(record_steps: Any, run_of: Callable[..., Run]) -> None:
    run = run_of("kakurenbo", HIDES, epochs=4)
    recorded = record_steps(run)
    places = [
        (record.epoch + (k + 0.5) / (record.n_trained // 48), record.lr_scale)
        for record in recorded.records
        for k in range(record.n_trained // 48)
    ]
    assert recorded.rates == pytest.approx([scheduled(run, passed) * scale for passed, scale in places], rel=1e-12)


def test_by_updates_kakurenbo_never_gets_to_the_end_of_its_schedule(
    record_steps: Any, run_of: Callable[..., Run]
) -> None:
    last = {}
    for clock in ("epochs", "updates"):
        recorded = record_steps(run_of("kakurenbo", {**HIDES, "lr_clock": clock}, epochs=4))
        last[clock] = recorded.rates[-1] / recorded.records[-1].lr_scale
    passed = (len(recorded.rates) - 1) / (4 * FULL_LENGTH)
    assert passed < 0.8 and last["updates"] == pytest.approx(0.025 * (1 + np.cos(np.pi * passed)))  # from 0.05 to 0
    assert last["epochs"] < 0.05 * 0.001 < 0.05 * 0.05 < last["updates"]


def test_by_updates_an_epoch_records_the_rate_in_the_middle_of_its_updates(run_of: Callable[..., Run]) -> None:
    run = run_of("kakurenbo", {**HIDES, "lr_clock": "updates"}, epochs=4)
    done = 0.0
    for record in train(run):
        steps = record.n_trained // 48
        assert record.lr == pytest.approx(scheduled(run, (done + steps / 2) / FULL_LENGTH))
        done += steps
